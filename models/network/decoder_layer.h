#pragma once
// One decoder layer: attention and MLP, each with its norms and a residual addition. The layer is built from its
// LayerStructure, so one forward pass computes every family. fused_layer (models/engine/fused_layer.h) computes the
// same in one operation, for every layer that fused_form() can express.
//
// Shapes: x (N, H), N the tokens of a batch, H hidden_size.

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "models/engine/attention.h"
#include "models/engine/fused_layer.h"
#include "models/engine/host_blocks.h"
#include "models/network/kv_cache.h"
#include "models/network/layer_structure.h"
#include "models/network/linear.h"
#include "models/network/rope.h"

namespace lora {

// Returns the tensor of a Hugging Face name. Throws where there is none of that shape.
using WeightSource = std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)>;
// Returns the projection of a module's path.
using LinearSource =
    std::function<std::shared_ptr<Linear>(const std::string& path, int64_t out, int64_t in, bool bias)>;

// What every layer reads of a batch besides its hidden states.
struct BatchContext {
  const std::vector<int64_t>& lengths;
  Sequences sequences;
  RopeTable global, local;  // each token's rotary embedding, (N, R/2) float32; local: undefined where no layer has it
  AttentionPlan attention;  // without a cache
  KvCache* cache;           // null in training
  ExecutionPlan plan;
  std::shared_ptr<HostBlocks> fetched = {};  // LlamaModel::fetched

  // The table of the layers with these positions; undefined tensors for kNone.
  RopeTable rope(Positions positions) const;
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
  // `path`: of the layer, "model.layers.0".
  Attention(const LayerStructure& structure, const std::string& path, const WeightSource& weights,
            const LinearSource& linears);
  at::Tensor forward(const at::Tensor& x, const BatchContext& batch, int64_t layer);
  Linears qkv, o;                           // the structure's groups
  std::shared_ptr<RMSNorm> q_norm, k_norm;  // null where the structure has none

 private:
  at::Tensor attend_with_cache(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const BatchContext& batch,
                               int64_t layer) const;
  HeadLayout heads_;
  AttentionScores scores_;
  Positions positions_;
  bool norms_per_head_ = false;
};

class Mlp final : public LinearHost {
 public:
  Mlp(const LayerStructure& structure, const std::string& path, const LinearSource& linears);
  at::Tensor forward(const at::Tensor& x);  // down(activation(gate(x)) · up(x))
  Linears gate_up, down;                    // the structure's groups

 private:
  int64_t inner_;
  Activation activation_;
};

// Why a layer is not computed as one operation. The text is made on request only.
struct NotFused {
  at::ScalarType dtype;
  at::Device device;
  // The first projection that has a forward pass of its own (Linear::parts() is empty). Null: the kernels do not
  // compute `dtype` on `device`. Points into the layer's structure.
  const ProjectionShape* own_forward = nullptr;
  std::string reason() const;
};

class DecoderLayer final : public torch::nn::Module {
 public:
  // `path`: "model.layers.0".
  DecoderLayer(LayerStructure structure, const std::string& path, const WeightSource& weights,
               const LinearSource& linears);
  at::Tensor forward(const at::Tensor& x, const BatchContext& batch, int64_t layer);
  // The layer's tensors for fused_layer with activations of `dtype`, or why fused_layer does not compute it.
  std::variant<FusedLayerParts, NotFused> fused_form(at::ScalarType dtype) const;

  const LayerStructure& structure() const { return structure_; }
  // The projections of a group, in the order of structure().projections.
  const Linears& projections(ProjectionGroup group) const;
  std::shared_ptr<Attention> self_attn;
  std::shared_ptr<Mlp> mlp;
  std::shared_ptr<RMSNorm> before_attention, after_attention, before_mlp, after_mlp;  // null where there is none

 private:
  at::Tensor add(const at::Tensor& x, const std::shared_ptr<RMSNorm>& norm, at::Tensor y) const;

  LayerStructure structure_;
};

}  // namespace lora
