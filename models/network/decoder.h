#pragma once
// The decoder that LLaMA and its kin share, under Hugging Face's module names: model.layers.0.self_attn.q_proj … What
// differs between them are values of ModelConfig.
//
// Shapes: N tokens of a TokenBatch, H hidden_size, V vocab_size. Activations have the model's dtype throughout; norms,
// softmax and the loss are computed in float32. Weights are used as the source gives them: frozen, not copied.

#include <memory>
#include <string>
#include <vector>

#include "models/network/config.h"
#include "models/network/decoder_layer.h"
#include "models/network/kv_cache.h"
#include "models/network/linear.h"
#include "models/network/rope.h"
#include "models/network/token_batch.h"

namespace lora {

// Token ids to vectors and, where the head is tied, hidden states to logits. An interface for the reason that Linear is
// one: an adapter takes the plain one's place.
class Embedding : public torch::nn::Module {
 public:
  virtual at::Tensor forward(const at::Tensor& input_ids) const = 0;  // (N) -> (N, H), the model's dtype
  virtual at::Tensor project(const at::Tensor& hidden) const = 0;     // (…, H) -> (…, V) of the same dtype
  virtual at::Tensor weight_matrix() const = 0;                       // (V, H), without adapters
  virtual double scale() const = 0;                                   // of forward alone
  virtual bool is_plain() const { return false; }                     // whether weight_matrix() is all of it
};

class DenseEmbedding final : public Embedding {
 public:
  DenseEmbedding(at::Tensor weight, at::ScalarType dtype, double scale = 1);
  at::Tensor forward(const at::Tensor& input_ids) const override;
  at::Tensor project(const at::Tensor& hidden) const override;
  at::Tensor weight_matrix() const override { return weight; }
  double scale() const override { return scale_; }
  bool is_plain() const override { return true; }
  at::Tensor weight;  // (V, H)

 private:
  at::ScalarType dtype_;
  double scale_;
};

class LlamaModel final : public torch::nn::Module {
 public:
  LlamaModel(const ModelConfig& config, at::ScalarType dtype, const WeightSource& weights, const LinearSource& linears);
  // -> (N, H), after the last norm. With a cache, its sequences grow by the batch's tokens, and no layer is fused.
  at::Tensor forward(const TokenBatch& batch, ExecutionPlan plan = {}, KvCache* cache = nullptr);
  void replace_embedding(const std::shared_ptr<Embedding>& replacement);
  std::shared_ptr<Embedding> embed_tokens;
  std::vector<std::shared_ptr<DecoderLayer>> layers;
  std::shared_ptr<RMSNorm> norm;

 private:
  BatchContext context(const TokenBatch& batch, ExecutionPlan plan, KvCache* cache);
  RopePositions positions_, local_positions_;
  bool has_local_ = false;
};

// The decoder with what stands on it: a language model's head or, where the config has labels, the `score` of
// transformers' LlamaForSequenceClassification, a row a label, read at a sample's last token.
class LlamaForCausalLM final : public LinearHost {
 public:
  // Builds the network straight from `weights`, each taken once and used without a copy. The layers' projections come
  // from `linears` where it is given, else they are dense; the head is dense always.
  LlamaForCausalLM(ModelConfig config, at::ScalarType dtype, const WeightSource& weights, LinearSource linears = {});

  // V stands for the labels in a classifier.
  // (B, T) int64 -> logits (B, T, V), the model's dtype
  at::Tensor forward(const at::Tensor& input_ids, ExecutionPlan plan = {});
  at::Tensor logits(const at::Tensor& hidden);  // (…, H) -> (…, V), scaled and capped as the family has it
  // Logits of the tokens at `positions` (M) int64 of a batch: (M, V) float32.
  at::Tensor logits_at(const TokenBatch& batch, const at::Tensor& positions, ExecutionPlan plan = {});
  // Sum of the negative log-likelihoods of targets (N) int64, kIgnoredTarget where a token has none; float32 scalar.
  at::Tensor loss_sum(const TokenBatch& batch, const at::Tensor& targets, ExecutionPlan plan = {});

  const ModelConfig& config() const { return config_; }
  at::ScalarType dtype() const { return dtype_; }
  // A module's whole path -> the host that holds the Linear, for replacing it.
  void replace(const std::string& path, const std::shared_ptr<Linear>& replacement);

  // Whether logits are embed_tokens' own projection.
  bool has_tied_head() const { return !output_head(); }
  // Of a model whose head is tied: gives it a head of its own or, with null, ties it again. config() follows.
  void put_head(const std::shared_ptr<Linear>& head);
  // The head's weight (V, H) where logits are x Wᵀ and nothing else; undefined where the head is adapted.
  at::Tensor plain_head_weight() const;

  std::shared_ptr<LlamaModel> model;
  // At most one is there; none where the language model's head is tied to embed_tokens.
  std::shared_ptr<Linear> lm_head, score;
  const std::shared_ptr<Linear>& output_head() const { return score ? score : lm_head; }

 private:
  ModelConfig config_;
  at::ScalarType dtype_;
};

}  // namespace lora
