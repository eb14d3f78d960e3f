#pragma once
// The LLaMA decoder (Touvron et al. 2023) under Hugging Face's module names: model.layers.0.self_attn.q_proj …
//
// Shapes: N tokens of a TokenBatch, H hidden_size, V vocab_size. Activations have the model's dtype throughout; norms,
// softmax and the loss are computed in float32. Weights are used as the source gives them: frozen, not copied.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/config.h"
#include "models/kv_cache.h"
#include "models/linear.h"
#include "models/ops/attention.h"
#include "models/ops/fused_layer.h"
#include "models/ops/rope.h"
#include "models/token_batch.h"

namespace lora {

// Gives the tensor of a Hugging Face name; throws if it has none of that shape.
using WeightSource = std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)>;
// Makes the projection of a module's path.
using LinearSource =
    std::function<std::shared_ptr<Linear>(const std::string& path, int64_t out, int64_t in, bool bias)>;

// What every layer needs to know of a batch besides its hidden states.
struct BatchContext {
  const std::vector<int64_t>& lengths;
  at::Tensor cos, sin;      // rotary embedding of each token: (N, D/2) float32
  AttentionPlan attention;  // without a cache
  KvCache* cache;           // null in training
  bool fused;               // layers that can be done as one operation are
  Recompute recompute;
};

class Embedding final : public torch::nn::Module {
 public:
  Embedding(at::Tensor weight, at::ScalarType dtype);
  at::Tensor forward(const at::Tensor& input_ids) const;  // (N) -> (N, H)
  at::Tensor weight;                                      // (V, H)

 private:
  at::ScalarType dtype_;
};

class RMSNorm final : public torch::nn::Module {
 public:
  RMSNorm(at::Tensor weight, double eps);
  at::Tensor forward(const at::Tensor& x) const;  // (N, H) -> (N, H)
  double eps() const { return eps_; }
  at::Tensor weight;  // (H)

 private:
  double eps_;
};

class Attention final : public LinearHost {
 public:
  Attention(const ModelConfig& config, const std::string& path, const LinearSource& linears);
  at::Tensor forward(const at::Tensor& x, const BatchContext& batch, int64_t layer);
  std::shared_ptr<Linear> q_proj, k_proj, v_proj, o_proj;
  HeadLayout layout() const { return {heads_, kv_heads_, head_dim_}; }

 private:
  at::Tensor attend_with_cache(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const BatchContext& batch,
                               int64_t layer) const;
  int64_t heads_, kv_heads_, head_dim_;
};

class Mlp final : public LinearHost {
 public:
  Mlp(const ModelConfig& config, const std::string& path, const LinearSource& linears);
  at::Tensor forward(const at::Tensor& x);  // down(silu(gate(x)) · up(x))
  std::shared_ptr<Linear> gate_proj, up_proj, down_proj;
};

class DecoderLayer final : public torch::nn::Module {
 public:
  DecoderLayer(const ModelConfig& config, const std::string& path, const WeightSource& weights,
               const LinearSource& linears);
  at::Tensor forward(const at::Tensor& x, const BatchContext& batch, int64_t layer);
  // The layer's tensors, where all of its projections have parts().
  std::optional<FusedLayerParts> parts() const;
  // Empty where forward is one operation in training; otherwise why it is not.
  std::string why_plain(at::ScalarType dtype) const;
  std::shared_ptr<Attention> self_attn;
  std::shared_ptr<Mlp> mlp;
  std::shared_ptr<RMSNorm> input_layernorm, post_attention_layernorm;
};

class LlamaModel final : public torch::nn::Module {
 public:
  LlamaModel(const ModelConfig& config, at::ScalarType dtype, const WeightSource& weights, const LinearSource& linears);
  // -> (N, H), after the last norm. With a cache, its sequences grow by the batch's tokens.
  at::Tensor forward(const TokenBatch& batch, KvCache* cache = nullptr);
  std::shared_ptr<Embedding> embed_tokens;
  std::vector<std::shared_ptr<DecoderLayer>> layers;
  std::shared_ptr<RMSNorm> norm;

  // How layers are computed; see ops/fused_layer.h. The results are the same up to rounding.
  bool fused = true;
  Recompute recompute = Recompute::kNone;

 private:
  BatchContext context(const TokenBatch& batch, KvCache* cache);
  ModelConfig config_;
  RopeTable table_;  // grown to the longest position seen
};

// The decoder with what stands on it: a language model's head or, where the config has labels, the `score` of
// transformers' LlamaForSequenceClassification, a row a label, read at a sample's last token.
class LlamaForCausalLM final : public LinearHost {
 public:
  // Builds the network straight from `weights`, each taken once and used without a copy. The layers' projections come
  // from `linears` where it is given, else they are dense; the head is dense always.
  LlamaForCausalLM(ModelConfig config, at::ScalarType dtype, const WeightSource& weights, LinearSource linears = {});

  // V stands for the labels in a classifier.
  at::Tensor forward(const at::Tensor& input_ids);  // (B, T) int64 -> logits (B, T, V), the model's dtype
  at::Tensor logits(const at::Tensor& hidden);      // (…, H) -> (…, V)
  // Logits of the tokens at `positions` (M) int64 of a batch: (M, V) float32.
  at::Tensor logits_at(const TokenBatch& batch, const at::Tensor& positions);
  // Sum of the negative log-likelihoods of targets (N) int64, −100 where a token has none; float32 scalar.
  at::Tensor loss_sum(const TokenBatch& batch, const at::Tensor& targets);

  const ModelConfig& config() const { return config_; }
  at::ScalarType dtype() const { return dtype_; }
  // A module's whole path -> the host that holds the Linear, for replacing it.
  void replace(const std::string& path, const std::shared_ptr<Linear>& replacement);

  std::shared_ptr<LlamaModel> model;
  // At most one is there; none where the language model's head is tied to embed_tokens.
  std::shared_ptr<Linear> lm_head, score;
  const std::shared_ptr<Linear>& output_head() const { return score ? score : lm_head; }

 private:
  ModelConfig config_;
  at::ScalarType dtype_;
};

}  // namespace lora
