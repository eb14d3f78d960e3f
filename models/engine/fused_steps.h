#pragma once
// The steps between the products of a fused layer (fused_layer.h), forward and backward, over the rows of all tokens.
// Tensors are on the CPU, float32 or bfloat16; no autograd inside.

#include <ATen/core/Tensor.h>

#include "models/engine/packed_attention.h"

namespace lora {

// An RMSNorm that may be missing: then it is the identity.
struct Norm {
  at::Tensor weight = {};  // as trained; undefined: there is none
  bool one_plus = false;   // multiplies by 1 + weight
  double eps = 0;

  bool there() const { return weight.defined(); }
  bool trained() const { return there() && weight.requires_grad(); }
  at::Tensor multiplier() const;  // float32
};

// Norms, as wide as the weight, side by side in columns [column, column + width) of the rows of x: into those of y.
void norm_columns(const Norm& norm, const at::Tensor& x, const at::Tensor& y, int64_t column, int64_t width);
// dx = the gradient of x + `base`, which may be dx, or undefined.
void norm_columns_backward(const Norm& norm, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& base,
                           const at::Tensor& dx, int64_t column, int64_t width);

// Of whole rows: x (N, H) -> (N, H), x itself where there is no norm.
at::Tensor normed(const Norm& norm, const at::Tensor& x);
void normed_backward(const Norm& norm, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& base,
                     const at::Tensor& dx);
// The gradient of what the norm was applied to; that of its weight, where it is trained, goes to the end of `grads`.
at::Tensor gradient_through(const Norm& norm, const at::Tensor& x, const at::Tensor& dy,
                            std::vector<at::Tensor>& grads);
// Of the norm's weight; x and dy (…, a multiple of the weight's size).
at::Tensor norm_weight_gradient(const Norm& norm, const at::Tensor& x, const at::Tensor& dy);

// The first R of each head's dimensions in queries and keys of qkv turned in place by their positions, cos and sin
// (N, R/2) float32 or undefined for not at all; direction -1 turns back.
void rotate(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin, const HeadLayout& layout,
            float direction);

// [g | u] -> silu(g) · u
at::Tensor swiglu(const at::Tensor& gate_up);
// gate_up becomes its gradient, dy becomes y.
void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& dy);

// The same with GELU in its tanh approximation for SiLU.
at::Tensor geglu(const at::Tensor& gate_up);
void geglu_backward(const at::Tensor& gate_up, const at::Tensor& dy);

}  // namespace lora
