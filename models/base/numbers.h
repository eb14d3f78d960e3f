#pragma once
// Integers: conversions and rounding.

#include <cstddef>
#include <cstdint>

namespace lora {

// Converts a non-negative count to size_t.
constexpr size_t as_size(int64_t n) { return static_cast<size_t>(n); }

// a / b, rounded up; a >= 0, b > 0.
template <typename Integer>
constexpr Integer ceil_div(Integer a, Integer b) {
  return (a + b - 1) / b;
}

// The smallest multiple of `step` that is at least n.
template <typename Integer>
constexpr Integer round_up(Integer n, Integer step) {
  return ceil_div(n, step) * step;
}

// part / whole; 0 if `whole` is 0.
constexpr double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace lora
