#include "models/network/model_snapshot.h"

#include <ATen/ATen.h>

#include "models/base/error.h"
#include "models/engine/norm.h"
#include "models/engine/operations.h"

namespace lora {
namespace {

// The tensors themselves, which stay when the network gives its parameters others (set_data).
std::vector<LinearParts> held(std::vector<LinearParts> all) {
  for (LinearParts& parts : all) {
    if (!parts.weight.packed()) parts.weight = parts.weight.dense().detach();
    for (at::Tensor* t : {&parts.bias, &parts.lora_A, &parts.lora_B, &parts.start_A, &parts.start_B, &parts.magnitude,
                          &parts.row_norm}) {
      if (t->defined()) *t = t->detach();
    }
  }
  return all;
}

NormSnapshot norm_of(const at::Tensor& weight, NormKind kind) {
  if (!weight.defined()) return {};
  const Norm norm{.weight = weight.detach(), .one_plus = kind == NormKind::kOnePlus};
  return {norm.multiplier().contiguous(), norm.weight};
}

}  // namespace

const NormSnapshot& LayerSnapshot::norm(NormPlace place) const {
  switch (place) {
    case NormPlace::kQueries:
      return q_norm;
    case NormPlace::kKeys:
      return k_norm;
    case NormPlace::kBeforeAttention:
      return before_attention;
    case NormPlace::kAfterAttention:
      return after_attention;
    case NormPlace::kBeforeMlp:
      return before_mlp;
    case NormPlace::kAfterMlp:
      break;
  }
  return after_mlp;
}

ModelSnapshot::ModelSnapshot(LlamaForCausalLM& model) {
  const at::NoGradGuard no_gradients;
  const at::ScalarType dtype = model.dtype();
  const bool is_on_cpu = model.device().is_cpu();
  const NormKind kind = model.config().norm_kind;
  for (const auto& layer : model.model->layers) {
    auto form = layer->fused_form(dtype);
    if (const auto* reason = std::get_if<NotFused>(&form)) throw ModelError("decoding: " + reason->reason());
    auto& parts = std::get<FusedLayerParts>(form);
    LayerSnapshot& all = layers.emplace_back();
    for (auto* group : {&parts.qkv, &parts.o, &parts.gate_up, &parts.down}) {
      const std::vector<LinearParts> mine = held(std::move(*group));
      if (is_on_cpu) {
        all.groups.push_back({RowLinear(mine, dtype), LinearGroup(mine, dtype, *operations_for(at::kCPU, dtype))});
      } else {
        all.device_groups.emplace_back(mine, dtype);
      }
    }
    all.before_attention = norm_of(parts.before_attention, kind);
    all.after_attention = norm_of(parts.after_attention, kind);
    all.before_mlp = norm_of(parts.before_mlp, kind);
    all.after_mlp = norm_of(parts.after_mlp, kind);
    all.q_norm = norm_of(parts.q_norm, kind);
    all.k_norm = norm_of(parts.k_norm, kind);
  }
  final_norm = norm_of(model.model->norm->weight, kind);

  const std::shared_ptr<Embedding> embedding = model.model->embed_tokens;
  if (embedding->is_plain()) {
    const at::Tensor weight = embedding->weight_matrix().detach();
    embed_ = [weight, scale = embedding->scale()](const at::Tensor& ids) {
      const at::Tensor x = at::embedding(weight, ids);
      return scale == 1 ? x : x.to(at::kFloat) * scale;
    };
  } else {
    embed_ = [embedding](const at::Tensor& ids) { return embedding->forward(ids); };
  }
  std::optional<LinearParts> parts;
  if (const std::shared_ptr<Linear> head = model.output_head()) {
    parts = head->parts();
    project_head_ = [head](const at::Tensor& hidden) { return head->forward(hidden); };
  } else {
    if (embedding->is_plain()) parts = LinearParts{.weight = embedding->weight_matrix()};
    project_head_ = [embedding](const at::Tensor& hidden) { return embedding->project(hidden); };
  }
  if (!parts) return;
  if (is_on_cpu) {
    head_ = std::make_shared<RowLinear>(held({*parts}), dtype);
  } else {
    device_head_ = std::make_shared<aten::DeviceLinear>(held({*parts}), dtype);
  }
}

}  // namespace lora
