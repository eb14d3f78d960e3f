#pragma once
// Soft-capping (Gemma Team 2024): values are kept within ±cap, and small ones nearly as they are.

#include <ATen/ops/tanh.h>

namespace lora {

inline at::Tensor soft_cap(const at::Tensor& x, double cap) { return at::tanh(x / cap) * cap; }

}  // namespace lora
