#include "lora/adapters/methods/lora_linear.h"

#include <ATen/ATen.h>

#include "lora/adapters/initialise.h"
#include "models/engine/dropout.h"

namespace lora {

LoraLinear::LoraLinear(std::shared_ptr<Linear> base, const MethodOptions& options)
    : AdapterLinear(std::move(base), options.rank, options.alpha),
      scaling_(lora_scaling(options.config, options.rank, options.alpha)),
      dropout_(options.config.dropout) {
  const InitialPair pair = initial_pair(*base_layer(), options);
  if (starts_from_base(options.config)) {
    start_A = register_buffer("start_A", pair.lora_A.clone());
    start_B = register_buffer("start_B", pair.lora_B.clone());
  }
  lora_A = register_parameter("lora_A", pair.lora_A);
  lora_B = register_parameter("lora_B", pair.lora_B);
  if (options.config.lora_bias) {
    lora_B_bias = register_parameter("lora_B_bias", at::zeros({lora_B.size(0)}, lora_B.options()));
  }
}

at::Tensor LoraLinear::bias_vector() const {
  const at::Tensor base = AdapterLinear::bias_vector();
  if (!lora_B_bias.defined()) return base;
  return base.defined() ? base + lora_B_bias * scaling_ : lora_B_bias * scaling_;
}

at::Tensor LoraLinear::forward(const at::Tensor& x) {
  const at::Tensor y = base_layer()->forward(x);
  const at::Tensor wide = x.to(at::kFloat);
  const bool drops = dropout_ > 0 && is_training();
  const at::Tensor input = drops ? keyed_dropout(wide, dropout_, draw_dropout_key()) : wide;
  at::Tensor delta = at::linear(at::linear(input, lora_A), lora_B);
  if (start_A.defined()) delta = delta - at::linear(at::linear(wide, start_A), start_B);
  if (lora_B_bias.defined()) delta = delta + lora_B_bias;
  return (y + delta * scaling_).to(y.scalar_type());
}

std::optional<LinearParts> LoraLinear::parts() const {
  std::optional<LinearParts> parts = base_layer()->parts();
  if (!parts || parts->lora_A.defined()) return std::nullopt;
  parts->lora_A = lora_A;
  parts->lora_B = lora_B;
  parts->start_A = start_A;
  parts->start_B = start_B;
  if (lora_B_bias.defined()) parts->bias = bias_vector();
  parts->scaling = scaling_;
  parts->dropout = is_training() ? dropout_ : 0.0;
  return parts;
}

at::Tensor LoraLinear::merged_weight() const {
  const at::NoGradGuard no_grad;
  const at::Tensor w = weight_matrix();
  // PEFT's order of operations, so that a float32 merge has PEFT's bits; half precision is rounded once, at the end.
  const auto file = peft_tensors();
  return at::mm(file[1].second, file[0].second).mul_(scaling_).add_(w).to(w.scalar_type());
}

std::vector<std::pair<std::string, at::Tensor>> LoraLinear::peft_tensors() const {
  const at::NoGradGuard no_grad;
  const at::Tensor a = start_A.defined() ? at::cat({lora_A, start_A}) : lora_A;
  const at::Tensor b = start_B.defined() ? at::cat({lora_B, -start_B}, 1) : lora_B;
  std::vector<std::pair<std::string, at::Tensor>> tensors = {{"lora_A.weight", a}, {"lora_B.weight", b}};
  if (lora_B_bias.defined()) tensors.emplace_back("lora_B.bias", lora_B_bias);
  return tensors;
}

void LoraLinear::load_peft_tensors(const std::vector<at::Tensor>& tensors) {
  if (!start_A.defined()) return AdapterLinear::load_peft_tensors(tensors);
  const at::NoGradGuard no_grad;
  const at::Tensor &a = tensors[0], &b = tensors[1];
  lora_A.copy_(a.narrow(0, 0, rank()));
  start_A.copy_(a.narrow(0, rank(), rank()));
  lora_B.copy_(b.narrow(1, 0, rank()));
  start_B.copy_(-b.narrow(1, rank(), rank()));
}

}  // namespace lora
