#include "lora/adapters/methods/adalora_linear.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "models/engine/dropout.h"

namespace lora {

AdaLoraLinear::AdaLoraLinear(std::shared_ptr<Linear> base, const MethodOptions& options)
    : AdapterLinear(std::move(base), options.rank, options.alpha),
      pattern(static_cast<size_t>(options.config.rank), false),
      scaling_(options.alpha / (static_cast<double>(options.config.rank) + 1e-5)),
      dropout_(options.config.dropout) {
  std::fill_n(pattern.begin(), options.rank, true);
  const at::Device device = weight_handle().device();
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  const at::Tensor q = at::empty({options.rank, in_features()}, at::kFloat).normal_(0.0, 0.02, generator);
  const at::Tensor p = at::empty({out_features(), options.rank}, at::kFloat).normal_(0.0, 0.02, generator);
  lora_A = register_parameter("lora_A", q.to(device));
  lora_E = register_parameter("lora_E", at::zeros({options.rank, 1}, lora_A.options().requires_grad(false)));
  lora_B = register_parameter("lora_B", p.to(device));
}

at::Tensor AdaLoraLinear::forward(const at::Tensor& x) {
  const at::Tensor y = base_layer()->forward(x);
  if (rank() == 0) return y;
  at::Tensor input = x.to(at::kFloat);
  if (dropout_ > 0 && is_training()) input = keyed_dropout(input, dropout_, draw_dropout_key());
  const at::Tensor delta = at::linear(at::linear(input, lora_A * lora_E), lora_B);
  return (y + delta * scaling_).to(y.scalar_type());
}

std::optional<LinearParts> AdaLoraLinear::parts() const {
  std::optional<LinearParts> parts = base_layer()->parts();
  if (!parts || parts->lora_A.defined()) return std::nullopt;
  if (rank() == 0) return parts;
  parts->lora_A = lora_A * lora_E;
  parts->lora_B = lora_B;
  parts->scaling = scaling_;
  parts->dropout = is_training() ? dropout_ : 0.0;
  return parts;
}

at::Tensor AdaLoraLinear::merged_weight() const {
  const at::NoGradGuard no_grad;
  const at::Tensor w = weight_matrix();
  if (rank() == 0) return w.clone();
  return at::mm(lora_B, lora_A * lora_E).mul_(scaling_).add_(w).to(w.scalar_type());
}

std::vector<std::pair<std::string, at::Tensor>> AdaLoraLinear::peft_tensors() const {
  return {{"lora_A", lora_A}, {"lora_E", lora_E}, {"lora_B", lora_B}};
}

}  // namespace lora
