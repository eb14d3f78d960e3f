#pragma once
// A product with a packed weight: the dense matrix exists while the product is computed, in the forward pass and again
// in the backward pass, and not between the two.

#include "models/engine/weight_handle.h"

namespace lora {

// x (..., in) -> x Wᵀ (..., out), of x's dtype. Differentiable once, with respect to x.
at::Tensor packed_linear(const at::Tensor& x, const std::shared_ptr<const PackedWeight>& weight);

}  // namespace lora
