#pragma once
// Dropout (Srivastava et al. 2014) whose mask is a function of a key: whoever has the key has the mask, so that none is
// kept for the backward pass, and the fused and the plain path drop the same elements.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lora {

// A fresh key from PyTorch's CPU generator.
uint64_t draw_dropout_key();

// x with each element zeroed with the given probability and the others divided by what is left of 1; element i of the
// flattened tensor depends on (key, i) alone. No autograd: the gradient of x is the same function of the gradient.
// p = 0 gives x itself.
at::Tensor dropout_values(const at::Tensor& x, double p, uint64_t key);

// The same, differentiable.
at::Tensor keyed_dropout(const at::Tensor& x, double p, uint64_t key);

}  // namespace lora
