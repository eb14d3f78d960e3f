#pragma once
// Adapters on the small golden models, as if they had been trained.

#include <ATen/ATen.h>

#include "lora/adapters/inject.h"

namespace lora::test {

inline AdapterConfig all_linear() {
  AdapterConfig config;
  config.target_modules = AllLinear{};
  config.rank = 4;
  config.alpha = 12;
  return config;
}

// Every trained weight: B is zero at first.
inline void randomise(const LlamaForCausalLM& model, uint64_t seed) {
  const at::NoGradGuard no_grad;
  at::manual_seed(seed);
  for (const auto& [name, tensor] : trainable_parameters(model)) at::Tensor(tensor).normal_(0, 0.1);
}

inline at::Tensor probe() { return at::arange(3, 43, at::kLong).view({2, 20}); }

inline at::Tensor logits(LlamaForCausalLM& model) {
  const at::NoGradGuard no_grad;
  model.eval();
  return model.forward(probe());
}

}  // namespace lora::test
