#pragma once
// Whole numbers: conversions and rounding.

#include <cstddef>
#include <cstdint>

namespace lora {

// A count that is not negative, as sizes of the standard library have it.
constexpr size_t as_size(int64_t n) { return static_cast<size_t>(n); }

// a / b, rounded up; a >= 0, b > 0.
template <typename Integer>
constexpr Integer ceil_div(Integer a, Integer b) {
  return (a + b - 1) / b;
}

// The least multiple of `step` that is not below n.
template <typename Integer>
constexpr Integer round_up(Integer n, Integer step) {
  return ceil_div(n, step) * step;
}

// part / whole; 0 of nothing.
constexpr double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace lora
