#pragma once
// How far tensors are from the expected ones.

#include <ATen/ATen.h>

namespace lora::test {

// max |difference|
inline double largest(const at::Tensor& difference) { return difference.abs().max().item<double>(); }

// |found - expected| / |expected|, in double precision.
inline double relative(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor exact = expected.to(at::kDouble);
  return ((found.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

// max |found - expected| / max |expected|: how float32 rounds sums of terms of any size.
inline double relative_to_largest(const at::Tensor& found, const at::Tensor& expected) {
  return largest(found - expected) / largest(expected);
}

}  // namespace lora::test
