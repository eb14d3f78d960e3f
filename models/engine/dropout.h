#pragma once
// Dropout (Srivastava et al. 2014) whose mask is a function of a key. The backward pass computes the mask again from
// the key, so no mask is kept; and the fused and the plain path drop the same elements.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lora {

// A fresh key from PyTorch's CPU generator.
uint64_t draw_dropout_key();

// x with each element zeroed with probability p, and the others divided by 1 − p. Whether element i of the flattened
// tensor is zeroed depends on (key, i) alone. p = 0 gives x itself. Differentiable.
at::Tensor keyed_dropout(const at::Tensor& x, double p, uint64_t key);

}  // namespace lora
