#pragma once
// Adapters of the token embedding: what AdapterLinear is for projections.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/method.h"
#include "models/network/decoder.h"

namespace lora {

class AdapterEmbedding : public Embedding {
 public:
  explicit AdapterEmbedding(std::shared_ptr<Embedding> base) {
    base_layer_ = register_module("base_layer", std::move(base));
  }

  const std::shared_ptr<Embedding>& base_layer() const { return base_layer_; }
  at::Tensor weight_matrix() const override { return base_layer_->weight_matrix(); }
  double scale() const override { return base_layer_->scale(); }

  // The weight that alone gives this layer's output, (V, H) in the base's dtype, a new tensor.
  virtual at::Tensor merged_weight() const = 0;
  // What a file holds, under PEFT's names ("lora_embedding_A"): they alias the parameters.
  virtual std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const = 0;
  // The same values as PEFT has them at a head that is tied to this layer ("lora_A.weight"); none where it has none.
  virtual std::vector<std::pair<std::string, at::Tensor>> tied_head_tensors() const { return {}; }
  // For tables: "rank 8, alpha 16".
  virtual std::string description() const = 0;

 private:
  std::shared_ptr<Embedding> base_layer_;
};

// LoRA on a lookup: id ↦ W[id] + s·(Aᵀ[id])·Bᵀ, times the base's own scale, with A (r, V), B (H, r) and s of
// lora_scaling. A is zero and B normal at first, as PEFT has them. As a tied head it is x ↦ x·Wᵀ + s·dropout(x)·B·A:
// one pair serves both. (PEFT drops nothing of a lookup either.)
class LoraEmbedding final : public AdapterEmbedding {
 public:
  LoraEmbedding(std::shared_ptr<Embedding> base, const MethodOptions& options);
  at::Tensor forward(const at::Tensor& input_ids) const override;
  at::Tensor project(const at::Tensor& hidden) const override;
  at::Tensor merged_weight() const override;
  std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const override;
  std::vector<std::pair<std::string, at::Tensor>> tied_head_tensors() const override;
  std::string description() const override;
  double alpha() const { return alpha_; }

  at::Tensor lora_embedding_A, lora_embedding_B;

 private:
  int64_t rank_;
  double alpha_, scaling_, dropout_;
};

// Some rows of the embedding with values of their own, which begin as the base's (PEFT's trainable_token_indices).
class TokenRows final : public AdapterEmbedding {
 public:
  // Error (exit code 2) for an index that is named twice or is none of the vocabulary.
  TokenRows(std::shared_ptr<Embedding> base, const std::vector<int64_t>& indices);
  at::Tensor forward(const at::Tensor& input_ids) const override;
  at::Tensor project(const at::Tensor& hidden) const override;
  at::Tensor merged_weight() const override;
  std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const override;
  std::string description() const override;

  at::Tensor trainable_tokens_delta;  // (n, H) float32: PEFT's name; the rows themselves, not a difference

 private:
  at::Tensor indices_;  // (n)
  at::Tensor places_;   // (V): of an id among the rows, -1 where it is none of them
};

}  // namespace lora
