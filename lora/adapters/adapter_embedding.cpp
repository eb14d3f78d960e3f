#include "lora/adapters/adapter_embedding.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cstdio>

#include "models/base/error.h"
#include "models/engine/dropout.h"

namespace lora {

LoraEmbedding::LoraEmbedding(std::shared_ptr<Embedding> base, const MethodOptions& options)
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

TokenRows::TokenRows(std::shared_ptr<Embedding> base, const std::vector<int64_t>& indices)
    : AdapterEmbedding(std::move(base)) {
  const at::NoGradGuard no_grad;
  const at::Tensor w = weight_matrix();
  places_ = at::full({w.size(0)}, -1, at::kLong);
  int64_t next = 0;
  for (const int64_t id : indices) {
    const bool known = id >= 0 && id < w.size(0);
    if (!known || places_[id].item<int64_t>() >= 0) {
      throw AdapterError("trainable_token_indices: " + std::to_string(id) +
                         (known ? " is named twice" : " is none of the " + std::to_string(w.size(0)) + " tokens"));
    }
    places_[id] = next++;
  }
  places_ = places_.to(w.device());
  indices_ = at::tensor(indices, at::kLong).to(w.device());
  trainable_tokens_delta = register_parameter("trainable_tokens_delta", w.index_select(0, indices_).to(at::kFloat));
}

at::Tensor TokenRows::forward(const at::Tensor& input_ids) const {
  const at::Tensor y = base_layer()->forward(input_ids);
  const at::Tensor place = places_.index_select(0, input_ids);
  const at::Tensor own = (at::embedding(trainable_tokens_delta, place.clamp_min(0)) * scale()).to(y.scalar_type());
  return at::where((place >= 0).unsqueeze(1), own, y);
}

at::Tensor TokenRows::project(const at::Tensor& hidden) const {
  const at::Tensor own = at::linear(hidden, trainable_tokens_delta.to(hidden.scalar_type()));
  return base_layer()->project(hidden).index_copy(-1, indices_, own);
}

at::Tensor TokenRows::merged_weight() const {
  const at::NoGradGuard no_grad;
  const at::Tensor w = weight_matrix();
  return w.index_copy(0, indices_, trainable_tokens_delta.to(w.scalar_type()));
}

std::vector<std::pair<std::string, at::Tensor>> TokenRows::peft_tensors() const {
  return {{"token_adapter.trainable_tokens_delta", trainable_tokens_delta}};
}

std::string TokenRows::description() const { return std::to_string(indices_.size(0)) + " tokens' rows"; }

}  // namespace lora
