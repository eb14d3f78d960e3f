#pragma once
// One layer of the decoder: attention and MLP between norms and residual additions. What a family has of its own is a
// value of ModelConfig; there is one forward pass, and one operation (ops/fused_layer.h) that takes its place where it
// can.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/engine/attention.h"
#include "models/engine/fused_layer.h"
#include "models/network/config.h"
#include "models/network/kv_cache.h"
#include "models/network/linear.h"
#include "models/network/rope.h"

namespace lora {

// Gives the tensor of a Hugging Face name; throws if it has none of that shape.
using WeightSource = std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)>;
// Makes the projection of a module's path.
using LinearSource =
    std::function<std::shared_ptr<Linear>(const std::string& path, int64_t out, int64_t in, bool bias)>;

// What every layer needs to know of a batch besides its hidden states.
struct BatchContext {
  const std::vector<int64_t>& lengths;
  RopeTable global, local;  // each token's rotary embedding, (N, R/2) float32; local: undefined where no layer has it
  AttentionPlan attention;  // without a cache
  KvCache* cache;           // null in training
  ExecutionPlan plan;
};

class RMSNorm final : public torch::nn::Module {
 public:
  RMSNorm(at::Tensor weight, double eps, NormKind kind);
  at::Tensor forward(const at::Tensor& x) const;  // (…, H) -> (…, H)
  at::Tensor weight;                              // (H)

 private:
  double eps_;
  NormKind kind_;
};

class Attention final : public LinearHost {
 public:
  Attention(const ModelConfig& config, const LayerConfig& layer, const std::string& path, const WeightSource& weights,
            const LinearSource& linears);
  at::Tensor forward(const at::Tensor& x, const BatchContext& batch, int64_t layer);
  std::shared_ptr<Linear> q_proj, k_proj, v_proj;  // or, in their place,
  std::shared_ptr<Linear> qkv_proj;                // [q | k | v]
  std::shared_ptr<Linear> o_proj;
  std::shared_ptr<RMSNorm> q_norm, k_norm;  // null where the family has none
  // Of the layer's input: together [q | k | v].
  std::vector<std::shared_ptr<Linear>> input_projections() const;
  HeadLayout layout() const { return {heads_, kv_heads_, head_dim_}; }
  const AttentionScores& scores() const { return scores_; }

 private:
  at::Tensor attend_with_cache(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const BatchContext& batch,
                               int64_t layer) const;
  int64_t heads_, kv_heads_, head_dim_;
  Positions positions_;
  QkNorm qk_norm_;
  AttentionScores scores_;
};

class Mlp final : public LinearHost {
 public:
  Mlp(const ModelConfig& config, const std::string& path, const LinearSource& linears);
  at::Tensor forward(const at::Tensor& x);     // down(activation(gate(x)) · up(x))
  std::shared_ptr<Linear> gate_proj, up_proj;  // or, in their place,
  std::shared_ptr<Linear> gate_up_proj;        // [gate | up]
  std::shared_ptr<Linear> down_proj;
  // Of the MLP's input: together [gate | up].
  std::vector<std::shared_ptr<Linear>> input_projections() const;

 private:
  Activation activation_;
};

class DecoderLayer final : public torch::nn::Module {
 public:
  DecoderLayer(const ModelConfig& config, const LayerConfig& layer, const std::string& path,
               const WeightSource& weights, const LinearSource& linears);
  at::Tensor forward(const at::Tensor& x, const BatchContext& batch, int64_t layer);
  // Empty where forward is one operation in training; otherwise why it is not.
  std::string why_plain(at::ScalarType dtype) const;
  std::shared_ptr<Attention> self_attn;
  std::shared_ptr<Mlp> mlp;
  // Under the names of ModelConfig::norms; null where the family has none.
  std::shared_ptr<RMSNorm> before_attention, after_attention, before_mlp, after_mlp;

 private:
  // The layer's tensors, where all of its projections have parts().
  std::optional<FusedLayerParts> parts() const;
  at::Tensor add(const at::Tensor& x, const std::shared_ptr<RMSNorm>& norm, at::Tensor y) const;

  LayerConfig layer_;
  double residual_scale_, eps_;
  NormKind norm_kind_;
  Activation activation_;
};

}  // namespace lora
