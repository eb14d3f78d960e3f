#pragma once
// How many rows a product may have. oneDNN compiles a kernel for every count it meets and keeps it: some 1 ms and
// 0.7 MB each, times the shapes of a layer. So passes are rounded up to a few counts.

#include <cstdint>

namespace lora {

constexpr int64_t kRowStep = 32;
constexpr int64_t rounded_rows(int64_t rows) { return (rows + kRowStep - 1) / kRowStep * kRowStep; }

}  // namespace lora
