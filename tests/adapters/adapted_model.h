#pragma once
// Adapters on the small golden models, as if they had been trained.

#include <ATen/ATen.h>

#include "lora/adapters/inject.h"
#include "lora/adapters/registry.h"

namespace lora::test {

inline AdapterConfig all_linear() {
  AdapterConfig config;
  config.target_modules = AllLinear{};
  config.rank = 4;
  config.alpha = 12;
  return config;
}

// One of each method that has an adapter, and one that starts from the base's weights.
inline std::vector<std::pair<std::string, AdapterConfig>> every_method() {
  std::vector<std::pair<std::string, AdapterConfig>> configs;
  for (const Method& method : methods()) {
    if (method.trains_network || method.resolve) continue;
    configs.emplace_back(method.name, all_linear());
    configs.back().second.method = method.name;
  }
  configs.emplace_back("pissa", all_linear());
  configs.back().second.init = "pissa";
  return configs;
}

// Every trained weight: B is zero at first. The same on any device.
inline void randomise(const LlamaForCausalLM& model, uint64_t seed) {
  const at::NoGradGuard no_grad;
  at::manual_seed(seed);
  for (const auto& [name, tensor, role] : trainable_parameters(model)) {
    at::Tensor(tensor).copy_(at::empty(tensor.sizes(), tensor.options().device(at::kCPU)).normal_(0, 0.1));
  }
}

inline at::Tensor probe() { return at::arange(3, 43, at::kLong).view({2, 20}); }

inline at::Tensor logits(LlamaForCausalLM& model, ExecutionPlan plan = {}) {
  const at::NoGradGuard no_grad;
  model.eval();
  return model.forward(probe(), plan);
}

}  // namespace lora::test
