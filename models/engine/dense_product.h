#pragma once
// Products of dense matrices that no kernel of a layer computes: LibTorch's, or where that has no vectors for them, those
// of the CPU's table.

#include <ATen/core/Tensor.h>

namespace lora {

// Whether LibTorch multiplies tensors of x's dtype without vectors, 5 to 100 times slower than float32: bfloat16 on CPUs
// without AVX-512.
bool is_slow_in_library(const at::Tensor& x);

// a (N, K) · m (K, C), or with `transposed` a · mᵀ of m (C, K): (N, C) of their dtype. Records nothing for autograd.
at::Tensor dense_product(const at::Tensor& a, const at::Tensor& m, bool transposed = false);

}  // namespace lora
