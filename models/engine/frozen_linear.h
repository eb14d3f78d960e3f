#pragma once
// A product with a frozen weight. The dense matrix of a packed one exists while the product is computed, in the forward
// pass and again in the backward pass, and not between the two.

#include "models/engine/weight_handle.h"

namespace lora {

// x (..., in) -> x Wᵀ (..., out), of x's dtype. Differentiable once, with respect to x.
at::Tensor frozen_linear(const at::Tensor& x, const WeightHandle& weight);

}  // namespace lora
