#include "lora/adapters/methods/lora.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cstdio>

#include "lora/adapters/initialise.h"
#include "models/engine/dropout.h"

namespace lora {

LoraLinear::LoraLinear(std::shared_ptr<Linear> base, const LayerOptions& options)
    : AdapterLinear(std::move(base), options.rank, options.alpha),
      scaling_(lora_scaling(options.config, options.rank, options.alpha)),
      dropout_(options.config.dropout) {
  const InitialPair pair = initial_pair(*base_layer(), options);
  if (starts_from_base(options.config)) {
    start_A = register_buffer("start_A", pair.lora_A.clone());
    start_B = register_buffer("start_B", pair.lora_B.clone());
  }
  lora_A = add_parameter("lora_A", pair.lora_A, ParameterRole::kA);
  lora_B = add_parameter("lora_B", pair.lora_B, ParameterRole::kB);
  if (options.config.lora_bias) {
    lora_B_bias = add_parameter("lora_B_bias", at::zeros({lora_B.size(0)}, lora_B.options()), ParameterRole::kAdapter);
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
  return at::mm(whole_B(), whole_A()).mul_(scaling_).add_(w).to(w.scalar_type());
}

// A pair that came out of the base is undone by the same pair, negated.
at::Tensor LoraLinear::whole_A() const { return start_A.defined() ? at::cat({lora_A, start_A}) : lora_A; }
at::Tensor LoraLinear::whole_B() const { return start_B.defined() ? at::cat({lora_B, -start_B}, 1) : lora_B; }

std::optional<LowRankUpdate> LoraLinear::update() const {
  if (lora_B_bias.defined()) return std::nullopt;
  return LowRankUpdate{whole_A().detach(), whole_B().detach(), scaling_};
}

std::vector<std::pair<std::string, at::Tensor>> LoraLinear::peft_tensors() const {
  const at::NoGradGuard no_grad;
  std::vector<std::pair<std::string, at::Tensor>> tensors = {{"lora_A.weight", whole_A()},
                                                             {"lora_B.weight", whole_B()}};
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

LoraEmbedding::LoraEmbedding(std::shared_ptr<Embedding> base, const LayerOptions& options)
    : AdapterEmbedding(std::move(base)),
      rank_(options.rank),
      alpha_(options.alpha),
      scaling_(lora_scaling(options.config, options.rank, options.alpha)),
      dropout_(options.config.dropout) {
  const at::Tensor w = weight_matrix();
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  const at::Tensor b = at::empty({w.size(1), rank_}, at::kFloat).normal_(0.0, 1.0, generator);
  const at::TensorOptions like = at::TensorOptions(at::kFloat).device(w.device());
  lora_embedding_A = register_parameter("lora_embedding_A", at::zeros({rank_, w.size(0)}, like));
  lora_embedding_B = register_parameter("lora_embedding_B", b.to(w.device()));
}

at::Tensor LoraEmbedding::forward(const at::Tensor& input_ids) const {
  const at::Tensor y = base_layer()->forward(input_ids);
  const at::Tensor low = at::embedding(lora_embedding_A.t(), input_ids);
  return (y + at::linear(low, lora_embedding_B) * (scaling_ * scale())).to(y.scalar_type());
}

at::Tensor LoraEmbedding::project(const at::Tensor& hidden) const {
  const at::Tensor y = base_layer()->project(hidden);
  at::Tensor input = hidden.to(at::kFloat);
  if (dropout_ > 0 && is_training()) input = keyed_dropout(input, dropout_, draw_dropout_key());
  return (y + at::matmul(at::matmul(input, lora_embedding_B), lora_embedding_A) * scaling_).to(y.scalar_type());
}

at::Tensor LoraEmbedding::merged_weight() const {
  const at::NoGradGuard no_grad;
  const at::Tensor w = weight_matrix();
  // PEFT's order of operations, for PEFT's bits in float32.
  return at::mm(lora_embedding_B, lora_embedding_A).t().mul(scaling_).add(w).to(w.scalar_type());
}

std::vector<std::pair<std::string, at::Tensor>> LoraEmbedding::peft_tensors() const {
  return {{"lora_embedding_A", lora_embedding_A}, {"lora_embedding_B", lora_embedding_B}};
}

std::vector<std::pair<std::string, at::Tensor>> LoraEmbedding::tied_head_tensors() const {
  return {{"lora_A.weight", lora_embedding_B.detach().t().contiguous()},
          {"lora_B.weight", lora_embedding_A.detach().t().contiguous()}};
}

std::string LoraEmbedding::description() const {
  char text[64];
  std::snprintf(text, sizeof text, "rank %lld, alpha %g", static_cast<long long>(rank_), alpha_);
  return text;
}

Method lora_method() {
  return {.name = "lora",
          .elsewhere = {"qlora"},
          .has_lora_bias = true,
          .starts_from_base = true,
          .is_baseline = true,
          .wrap = wrap<LoraLinear>,
          .wrap_embedding = [](std::shared_ptr<Embedding> base,
                               const LayerOptions& options) -> std::shared_ptr<AdapterEmbedding> {
            return std::make_shared<LoraEmbedding>(std::move(base), options);
          },
          .file_parts = {{"lora_A.weight", "A"},
                         {"lora_B.weight", "B"},
                         {"lora_B.bias", "bias"},
                         {"lora_embedding_A", "A"},
                         {"lora_embedding_B", "B"}}};
}

Method rslora_method() {
  Method method = lora_method();
  method.name = "rslora";
  method.elsewhere.clear();
  method.is_baseline = false;
  method.resolve = [](AdapterConfig& config) {
    config.method = "lora";
    config.use_rslora = true;
  };
  return method;
}

}  // namespace lora
