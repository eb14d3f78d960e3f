#include "models/network/layer_structure.h"

#include <algorithm>
#include <cmath>

namespace lora {
namespace {

std::vector<ProjectionShape> projections_of(const ModelConfig& config, const HeadLayout& heads) {
  const int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  const int64_t q = heads.heads * heads.dim, kv = heads.kv_heads * heads.dim;
  std::vector<ProjectionShape> all;
  if (config.fused_projections) {
    all.push_back({Projection::kQkv, "qkv_proj", heads.width(), hidden, config.qkv_bias});
  } else {
    all.push_back({Projection::kQ, "q_proj", q, hidden, config.qkv_bias});
    all.push_back({Projection::kK, "k_proj", kv, hidden, config.qkv_bias});
    all.push_back({Projection::kV, "v_proj", kv, hidden, config.qkv_bias});
  }
  all.push_back({Projection::kO, "o_proj", hidden, q, config.o_bias});
  if (config.fused_projections) {
    all.push_back({Projection::kGateUp, "gate_up_proj", 2 * inner, hidden, config.mlp_bias});
  } else {
    all.push_back({Projection::kGate, "gate_proj", inner, hidden, config.mlp_bias});
    all.push_back({Projection::kUp, "up_proj", inner, hidden, config.mlp_bias});
  }
  all.push_back({Projection::kDown, "down_proj", hidden, inner, config.mlp_bias});
  return all;
}

std::vector<NormShape> norms_of(const ModelConfig& config, const HeadLayout& heads) {
  std::vector<NormShape> all;
  if (config.qk_norm != QkNorm::kNone) {
    const bool per_head = config.qk_norm == QkNorm::kHead;
    const auto add = [&](NormPlace place, const char* name, int64_t columns) {
      all.push_back({place, name, per_head ? heads.dim : columns, columns, per_head});
    };
    add(NormPlace::kQueries, "q_norm", heads.heads * heads.dim);
    add(NormPlace::kKeys, "k_norm", heads.kv_heads * heads.dim);
  }
  const auto add = [&](NormPlace place, const std::string& name) {
    if (!name.empty()) all.push_back({place, name, config.hidden_size, config.hidden_size, /*per_head=*/false});
  };
  add(NormPlace::kBeforeAttention, config.norms.before_attention);
  add(NormPlace::kAfterAttention, config.norms.after_attention);
  add(NormPlace::kBeforeMlp, config.norms.before_mlp);
  add(NormPlace::kAfterMlp, config.norms.after_mlp);
  return all;
}

int64_t rope_dim(const ModelConfig& config, Positions positions) {
  if (positions == Positions::kNone) return 0;
  return (positions == Positions::kLocal ? config.local_rope : config.rope).rotated(config.head_dim);
}

}  // namespace

ProjectionGroup ProjectionShape::group() const {
  switch (kind) {
    case Projection::kQ:
    case Projection::kK:
    case Projection::kV:
    case Projection::kQkv:
      return ProjectionGroup::kQkv;
    case Projection::kO:
      return ProjectionGroup::kO;
    case Projection::kGate:
    case Projection::kUp:
    case Projection::kGateUp:
      return ProjectionGroup::kGateUp;
    case Projection::kDown:
      return ProjectionGroup::kDown;
  }
  return {};
}

std::string ProjectionShape::module() const {
  return group() == ProjectionGroup::kQkv || group() == ProjectionGroup::kO ? kAttentionModule : kMlpModule;
}

std::string NormShape::module() const {
  return place == NormPlace::kQueries || place == NormPlace::kKeys ? kAttentionModule : "";
}

std::vector<ProjectionShape> LayerStructure::group(ProjectionGroup group) const {
  std::vector<ProjectionShape> found;
  std::ranges::copy_if(projections, std::back_inserter(found),
                       [&](const ProjectionShape& one) { return one.group() == group; });
  return found;
}

int64_t LayerStructure::out_features(ProjectionGroup group) const {
  int64_t sum = 0;
  for (const ProjectionShape& one : projections) sum += one.group() == group ? one.out : 0;
  return sum;
}

int64_t LayerStructure::in_features(ProjectionGroup group) const {
  return std::ranges::find(projections, group, &ProjectionShape::group)->in;
}

const NormShape* LayerStructure::norm(NormPlace place) const {
  const auto found = std::ranges::find(norms, place, &NormShape::place);
  return found == norms.end() ? nullptr : &*found;
}

LayerStructure layer_structure(const ModelConfig& config, const LayerConfig& layer) {
  const HeadLayout heads{config.num_attention_heads, config.num_key_value_heads, config.head_dim};
  const double scale =
      config.attention_scale ? config.attention_scale : 1.0 / std::sqrt(static_cast<double>(config.head_dim));
  return {.projections = projections_of(config, heads),
          .norms = norms_of(config, heads),
          .norm_kind = config.norm_kind,
          .norm_eps = config.rms_norm_eps,
          .heads = heads,
          .scores = {.scale = scale, .softcap = config.attention_softcap, .window = layer.window},
          .positions = layer.positions,
          .rope_dim = rope_dim(config, layer.positions),
          .activation = config.activation,
          .residual_scale = config.residual_scale};
}

}  // namespace lora
