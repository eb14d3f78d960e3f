#pragma once
// The decoder of LLaMA and the families that resemble it, under Hugging Face's module names:
// model.layers.0.self_attn.q_proj … Families differ in values of ModelConfig only.
//
// Shapes: N tokens of a TokenBatch, H hidden_size, V vocab_size. Activations have the model's dtype throughout; norms,
// softmax and the loss are computed in float32. Weights are frozen, and are the source's tensors without a copy.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/network/config.h"
#include "models/network/decoder_layer.h"
#include "models/network/kv_cache.h"
#include "models/network/linear.h"
#include "models/network/rope.h"
#include "models/network/token_batch.h"

namespace lora {

inline constexpr std::string_view kLayersPath = "model.layers.";  // in front of a layer's number
// The number of the layer that a module or a tensor of this path is in; none where it is in no layer.
std::optional<int64_t> layer_of(std::string_view path);

// Maps token ids to vectors and, where the head is tied, hidden states to logits. An interface for the same reason as
// Linear: an adapter replaces the dense embedding.
class Embedding : public torch::nn::Module {
 public:
  virtual at::Tensor forward(const at::Tensor& input_ids) const = 0;  // (N) -> (N, H), the model's dtype
  virtual at::Tensor project(const at::Tensor& hidden) const = 0;     // (…, H) -> (…, V) of the same dtype
  virtual at::Tensor weight_matrix() const = 0;                       // (V, H), without adapters
  virtual double scale() const = 0;                                   // of forward alone
  virtual bool is_plain() const { return false; }                     // whether forward reads weight_matrix() alone
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
  // Where the layers' frozen weights are in the host's memory (quantization/fetching.h); null: they are on the device.
  std::shared_ptr<HostBlocks> fetched;

 private:
  BatchContext context(const TokenBatch& batch, ExecutionPlan plan, KvCache* cache);
  RopePositions positions_, local_positions_;
  bool has_local_ = false;
};

// The decoder with its head: a language model's or, where the config has labels, the `score` of transformers'
// LlamaForSequenceClassification, which has a row for each label and is read at a sample's last token.
class LlamaForCausalLM final : public LinearHost {
 public:
  // Builds the network from `weights`: takes each tensor once and does not copy it. The layers' projections come from
  // `linears` where it is given, else they are dense. The head is always dense.
  LlamaForCausalLM(ModelConfig config, at::ScalarType dtype, const WeightSource& weights, LinearSource linears = {});

  // In a classifier V is the number of labels.
  // (B, T) int64, on any device -> logits (B, T, V), the model's dtype
  at::Tensor forward(const at::Tensor& input_ids, ExecutionPlan plan = {});
  at::Tensor logits(const at::Tensor& hidden);  // (…, H) -> (…, V), scaled and capped as the family has it
  // Logits of the tokens at `positions` (M) int64 of a batch: (M, V) float32. Batches, positions and targets are on the
  // model's device; those of loss_sum may be on the CPU, whose targets are counted without waiting for the device.
  at::Tensor logits_at(const TokenBatch& batch, const at::Tensor& positions, ExecutionPlan plan = {});
  // The log-probability of targets (M) int64, each after the token at its position (M) int64: (M) float32. A position
  // may stand for several targets.
  at::Tensor log_probabilities(const TokenBatch& batch, const at::Tensor& positions, const at::Tensor& targets,
                               ExecutionPlan plan = {});
  // Sum of the negative log-likelihoods of targets (N) int64, kIgnoredTarget where a token has none; float32 scalar.
  at::Tensor loss_sum(const TokenBatch& batch, const at::Tensor& targets, ExecutionPlan plan = {});

  const ModelConfig& config() const { return config_; }
  at::ScalarType dtype() const { return dtype_; }
  at::Device device() const { return model->embed_tokens->weight_matrix().device(); }
  // Replaces the Linear of a module's whole path. Throws ModelError where there is none.
  void replace(const std::string& path, const std::shared_ptr<Linear>& replacement);

  // Whether logits are embed_tokens' own projection.
  bool has_tied_head() const { return !output_head(); }
  // Gives a model with a tied head a head of its own or, with null, ties the head again. config() follows.
  void put_head(const std::shared_ptr<Linear>& head);
  // The head's weight (V, H) where logits are x Wᵀ and nothing else; undefined where the head is adapted.
  at::Tensor unadapted_head_weight() const;

  std::shared_ptr<LlamaModel> model;
  // At most one is not null; both are null where the language model's head is tied to embed_tokens.
  std::shared_ptr<Linear> lm_head, score;
  const std::shared_ptr<Linear>& output_head() const { return score ? score : lm_head; }

 private:
  ModelConfig config_;
  at::ScalarType dtype_;
};

}  // namespace lora
