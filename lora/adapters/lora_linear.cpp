#include "lora/adapters/lora_linear.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "models/ops/dropout.h"

namespace lora {

LoraLinear::LoraLinear(std::shared_ptr<Linear> base, const MethodOptions& options)
    : AdapterLinear(std::move(base), options.rank, options.alpha),
      scaling_(lora_scaling(options.config, options.rank, options.alpha)),
      dropout_(options.config.dropout) {
  const at::Device device = weight_matrix().device();
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  at::Tensor a = at::empty({options.rank, in_features()}, at::kFloat);
  if (options.config.init == "gaussian") {
    a.normal_(0.0, 1.0 / static_cast<double>(options.rank), generator);
  } else {
    const double bound = 1.0 / std::sqrt(static_cast<double>(in_features()));
    a.uniform_(-bound, bound, generator);
  }
  lora_A = register_parameter("lora_A", a.to(device));
  lora_B = register_parameter("lora_B", at::zeros({out_features(), options.rank}, a.options().device(device)));
}

at::Tensor LoraLinear::forward(const at::Tensor& x) {
  const at::Tensor y = base_layer()->forward(x);
  at::Tensor input = x.to(at::kFloat);
  if (dropout_ > 0 && is_training()) input = keyed_dropout(input, dropout_, draw_dropout_key());
  const at::Tensor delta = at::linear(at::linear(input, lora_A), lora_B);
  return (y + delta * scaling_).to(y.scalar_type());
}

std::optional<LinearParts> LoraLinear::parts() const {
  std::optional<LinearParts> parts = base_layer()->parts();
  if (!parts || parts->lora_A.defined()) return std::nullopt;
  parts->lora_A = lora_A;
  parts->lora_B = lora_B;
  parts->scaling = scaling_;
  parts->dropout = is_training() ? dropout_ : 0.0;
  return parts;
}

at::Tensor LoraLinear::merged_weight() const {
  const at::NoGradGuard no_grad;
  const at::Tensor w = weight_matrix();
  // PEFT's order of operations, so that a float32 merge has PEFT's bits; half precision is rounded once, at the end.
  return at::mm(lora_B, lora_A).mul_(scaling_).add_(w).to(w.scalar_type());
}

std::vector<std::pair<std::string, at::Tensor>> LoraLinear::peft_tensors() const {
  return {{"lora_A.weight", lora_A}, {"lora_B.weight", lora_B}};
}

}  // namespace lora
