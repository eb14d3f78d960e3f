#include "lora/adapters/methods/dora.h"

#include <ATen/ATen.h>

#include <functional>
#include <limits>

#include "lora/adapters/initialise.h"
#include "models/engine/dropout.h"

namespace lora {
namespace {

// f of each block of rows of the weight in float32, one under another: a float32 copy of all of it is never held.
at::Tensor by_blocks(const WeightHandle& weight, const std::function<at::Tensor(const at::Tensor&)>& f) {
  constexpr int64_t kRows = 256;
  const at::Tensor w = weight.packed() ? weight.for_product(weight.packed()->dtype()) : weight.dense();
  std::vector<at::Tensor> parts;
  for (const at::Tensor& rows : w.split(kRows)) parts.push_back(f(rows.to(at::kFloat)));
  return at::cat(parts);
}

}  // namespace

DoraLinear::DoraLinear(std::shared_ptr<Linear> base, const LayerOptions& options)
    : AdapterLinear(std::move(base), options.rank, options.alpha),
      scaling_(lora_scaling(options.config, options.rank, options.alpha)),
      dropout_(options.config.dropout) {
  const InitialPair pair = initial_pair(*base_layer(), options);
  lora_A = add_parameter("lora_A", pair.lora_A, ParameterRole::kA);
  lora_B = add_parameter("lora_B", pair.lora_B, ParameterRole::kB);
  base_square_ = by_blocks(weight_handle(), [](const at::Tensor& w) { return w.square().sum(1); });
  lora_magnitude_vector = add_parameter("lora_magnitude_vector", weight_norm(), ParameterRole::kAdapter);
}

at::Tensor DoraLinear::weight_norm() const {
  if (kept_norm_.defined()) return kept_norm_;
  const at::NoGradGuard no_grad;
  const at::Tensor a = lora_A.detach(), b = lora_B.detach();
  const at::Tensor wa = by_blocks(weight_handle(), [&](const at::Tensor& w) { return w.mm(a.t()); });
  const at::Tensor delta_a = b.mm(a.mm(a.t())).mul_(scaling_);  // (s·B·A)·Aᵀ
  const at::Tensor square = base_square_ + (b * (2 * wa + delta_a)).sum(1).mul_(scaling_);
  // A row of zeros has the direction zero, not NaN.
  const at::Tensor norm = square.clamp_min(std::numeric_limits<float>::min()).sqrt();
  if (!is_training()) kept_norm_ = norm;
  return norm;
}

void DoraLinear::train(bool on) {
  AdapterLinear::train(on);
  kept_norm_.reset();
}

at::Tensor DoraLinear::forward(const at::Tensor& x) {
  const at::Tensor y = base_layer()->forward(x);
  const at::Tensor gain = lora_magnitude_vector / weight_norm();
  at::Tensor input = x.to(at::kFloat), base = y;
  if (dropout_ > 0 && is_training()) {
    input = keyed_dropout(input, dropout_, draw_dropout_key());
    base = base_layer()->forward(input.to(x.scalar_type()));
  }
  base = base.to(at::kFloat);
  if (const at::Tensor bias = bias_vector(); bias.defined()) base = base - bias;
  const at::Tensor delta = at::linear(at::linear(input, lora_A), lora_B) * scaling_;
  return (y + (gain - 1) * base + gain * delta).to(y.scalar_type());
}

std::optional<LinearParts> DoraLinear::parts() const {
  std::optional<LinearParts> parts = base_layer()->parts();
  if (!parts || parts->lora_A.defined() || (dropout_ > 0 && is_training())) return std::nullopt;
  parts->lora_A = lora_A;
  parts->lora_B = lora_B;
  parts->magnitude = lora_magnitude_vector;
  parts->row_norm = weight_norm();
  parts->scaling = scaling_;
  return parts;
}

at::Tensor DoraLinear::merged_weight() const {
  const at::NoGradGuard no_grad;
  const at::Tensor w = weight_matrix();
  const at::Tensor adapted = at::mm(lora_B, lora_A).mul_(scaling_).add_(w);
  const at::Tensor gain = lora_magnitude_vector / adapted.norm(2, 1).clamp_min(std::numeric_limits<float>::min());
  return adapted.mul_(gain.unsqueeze(1)).to(w.scalar_type());
}

std::vector<std::pair<std::string, at::Tensor>> DoraLinear::peft_tensors() const {
  return {{"lora_A.weight", lora_A}, {"lora_B.weight", lora_B}, {"lora_magnitude_vector", lora_magnitude_vector}};
}

void DoraLinear::load_peft_tensors(const std::vector<at::Tensor>& tensors) {
  AdapterLinear::load_peft_tensors(tensors);
  kept_norm_.reset();
}

Method dora_method() {
  return {.name = "dora",
          .wrap = wrap<DoraLinear>,
          .peft_flags = {"use_dora"},
          .file_parts = {{"lora_A.weight", "A"},
                         {"lora_B.weight", "B"},
                         {"lora_magnitude_vector", "magnitude"},
                         {"lora_magnitude_vector.weight", "magnitude"}}};
}

}  // namespace lora
