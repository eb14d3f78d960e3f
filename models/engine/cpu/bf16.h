#pragma once
// The storage formats that the kernels read and write; they compute in float32 throughout.

#include <cstdint>

namespace lora::kernels {

// bfloat16 as it lies in memory: the upper half of a float32.
struct Bf16 {
  uint16_t bits;
};

}  // namespace lora::kernels
