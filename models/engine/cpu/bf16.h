#pragma once
// The 16-bit storage format of the kernels; they compute in float32.

#include <cstdint>

namespace lora::kernels {

// bfloat16 in memory: the upper half of a float32.
struct Bf16 {
  uint16_t bits;
};

}  // namespace lora::kernels
