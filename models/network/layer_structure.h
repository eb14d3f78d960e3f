#pragma once
// The structure of one decoder layer: its projections, norms, heads, scores, rotary embedding and activation, with
// Hugging Face's names. The network is built from it; fused layers, the memory plan and the exports read it.
//
// The computation, with H hidden_size, I intermediate_size and D head_dim:
//   h = x + s · after_attention(o(attention(q, k, v of before_attention(x))))
//   y = h + s · after_mlp(down(activation(gate(n)) · up(n))),  n = before_mlp(h)
// A norm that the structure does not list is the identity.

#include <cstdint>
#include <string>
#include <vector>

#include "models/engine/attention.h"
#include "models/network/config.h"

namespace lora {

// The modules that hold a layer's projections.
inline constexpr const char* kAttentionModule = "self_attn";
inline constexpr const char* kMlpModule = "mlp";

// Projections of the same input. Their outputs lie side by side, in the structure's order.
enum class ProjectionGroup {
  kQkv,     // H -> [q | k | v], (heads + 2 · kv_heads) · D
  kO,       // heads · D -> H
  kGateUp,  // H -> [gate | up], 2 I
  kDown,    // I -> H
};
inline constexpr ProjectionGroup kProjectionGroups[] = {ProjectionGroup::kQkv, ProjectionGroup::kO,
                                                        ProjectionGroup::kGateUp, ProjectionGroup::kDown};

// What a projection computes. A group of several outputs is one projection for each output, or one for all of them.
enum class Projection { kQ, kK, kV, kQkv, kO, kGate, kUp, kGateUp, kDown };

struct ProjectionShape {
  Projection kind;
  std::string name;  // in its module: "q_proj"
  int64_t out, in;
  bool bias;
  ProjectionGroup group() const;
  std::string module() const;  // kAttentionModule or kMlpModule
  std::string path() const { return module() + "." + name; }
};

// What an RMSNorm is applied to.
enum class NormPlace {
  kQueries,          // before the rotary embedding
  kKeys,             // likewise
  kBeforeAttention,  // the layer's input
  kAfterAttention,   // the attention's output, before it is added
  kBeforeMlp,        // the MLP's input
  kAfterMlp,         // the MLP's output, before it is added
};

struct NormShape {
  NormPlace place;
  std::string name;            // in its module: "input_layernorm", or "q_norm" in kAttentionModule
  int64_t size;                // of the weight: what one norm is computed over
  int64_t columns;             // of a token's input
  bool per_head;               // whether each head is normalised on its own
  std::string module() const;  // kAttentionModule, or empty where the layer itself holds the norm
  std::string path() const { return module().empty() ? name : module() + "." + name; }
};

struct LayerStructure {
  // Both in the order in which modules are registered. The projections of a group are computed in this order too, and
  // each draws its dropout key when it is computed.
  std::vector<ProjectionShape> projections;
  std::vector<NormShape> norms;
  NormKind norm_kind;  // of all norms
  double norm_eps;     // likewise
  HeadLayout heads;
  AttentionScores scores;
  Positions positions;
  int64_t rope_dim;  // the leading dimensions of a head that are rotated; 0 without positions
  Activation activation;
  double residual_scale;  // s

  std::vector<ProjectionShape> group(ProjectionGroup group) const;
  int64_t out_features(ProjectionGroup group) const;  // of all projections together
  int64_t in_features(ProjectionGroup group) const;
  const NormShape* norm(NormPlace place) const;  // null where the layer has none
};

// The structure of a layer of `config`. Layers differ in what LayerConfig holds; their names and shapes are the same.
LayerStructure layer_structure(const ModelConfig& config, const LayerConfig& layer);

}  // namespace lora
