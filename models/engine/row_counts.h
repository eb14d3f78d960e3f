#pragma once
// How many rows a product may have. oneDNN compiles a kernel for every count it meets and keeps it: some 1 ms and
// 0.7 MB each, times the shapes of a layer. So passes are rounded up to a few counts.

#include <cstdint>

#include "models/base/numbers.h"

namespace lora {

constexpr int64_t kRowStep = 32;
constexpr int64_t rounded_rows(int64_t rows) { return round_up(rows, kRowStep); }

}  // namespace lora
