#include "models/network/decoder_layer.h"

#include <ATen/ATen.h>

#include "models/engine/operations.h"

namespace lora {
namespace {

// The outputs of projections of one input, cut into `widths`: one projection for each, or one for all of them.
std::vector<at::Tensor> project(const Linears& projections, const at::Tensor& x, at::IntArrayRef widths) {
  if (projections.size() == 1) return projections.front()->forward(x).split_with_sizes(widths, -1);
  std::vector<at::Tensor> outputs;
  for (const auto& projection : projections) outputs.push_back(projection->forward(x));
  return outputs;
}

// The projections of a group by name.
std::vector<std::pair<std::string, std::shared_ptr<Linear>>> make_group(const LayerStructure& structure,
                                                                        ProjectionGroup group, const std::string& layer,
                                                                        const LinearSource& linears) {
  std::vector<std::pair<std::string, std::shared_ptr<Linear>>> made;
  for (const ProjectionShape& shape : structure.group(group)) {
    made.emplace_back(shape.name, linears(layer + "." + shape.path(), shape.out, shape.in, shape.bias));
  }
  return made;
}

// The norm at `place`, registered with `host`; null where the structure has none.
std::shared_ptr<RMSNorm> add_norm(torch::nn::Module& host, const LayerStructure& structure, NormPlace place,
                                  const std::string& layer, const WeightSource& weights) {
  const NormShape* shape = structure.norm(place);
  if (!shape) return nullptr;
  const at::Tensor weight = weights(layer + "." + shape->path() + ".weight", {shape->size});
  return host.register_module(shape->name, std::make_shared<RMSNorm>(weight, structure.norm_eps, structure.norm_kind));
}

}  // namespace

RopeTable BatchContext::rope(Positions positions) const {
  switch (positions) {
    case Positions::kNone:
      return {};
    case Positions::kGlobal:
      return global;
    case Positions::kLocal:
      return local;
  }
  return {};
}

RMSNorm::RMSNorm(at::Tensor w, double eps, NormKind kind) : eps_(eps), kind_(kind) {
  weight = register_parameter("weight", std::move(w), /*requires_grad=*/false);
}

at::Tensor RMSNorm::forward(const at::Tensor& x) const {
  const auto dtype = x.scalar_type();
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor unit = wide * wide.pow(2).mean(-1, /*keepdim=*/true).add_(eps_).rsqrt_();
  switch (kind_) {
    case NormKind::kPlain:
      return weight.to(dtype) * unit.to(dtype);
    case NormKind::kWide:
      return (weight.to(at::kFloat) * unit).to(dtype);
    case NormKind::kOnePlus:
      return ((1.0 + weight.to(at::kFloat)) * unit).to(dtype);
  }
  return {};
}

Attention::Attention(const LayerStructure& structure, const std::string& path, const WeightSource& weights,
                     const LinearSource& linears)
    : heads_(structure.heads), scores_(structure.scores), positions_(structure.positions) {
  register_linears(qkv, make_group(structure, ProjectionGroup::kQkv, path, linears));
  register_linears(o, make_group(structure, ProjectionGroup::kO, path, linears));
  q_norm = add_norm(*this, structure, NormPlace::kQueries, path, weights);
  k_norm = add_norm(*this, structure, NormPlace::kKeys, path, weights);
  norms_per_head_ = q_norm && structure.norm(NormPlace::kQueries)->per_head;
}

at::Tensor Attention::forward(const at::Tensor& x, const BatchContext& batch, int64_t layer) {
  const auto [heads, kv_heads, dim] = heads_;
  const int64_t n = x.size(0);
  const std::vector<at::Tensor> projected = project(qkv, x, {heads * dim, kv_heads * dim, kv_heads * dim});
  const RopeTable rope = batch.rope(positions_);
  const auto prepare = [&](at::Tensor y, int64_t count, const std::shared_ptr<RMSNorm>& norm) {
    if (norm && !norms_per_head_) y = norm->forward(y);
    y = y.reshape({n, count, heads_.dim});
    if (norm && norms_per_head_) y = norm->forward(y);
    return rope.cos.defined() ? apply_rope(y, rope.cos, rope.sin) : y;
  };
  const at::Tensor q = prepare(projected[0], heads, q_norm);
  const at::Tensor k = prepare(projected[1], kv_heads, k_norm);
  const at::Tensor v = projected[2].reshape({n, kv_heads, dim});
  const at::Tensor out =
      batch.cache ? attend_with_cache(q, k, v, batch, layer) : causal_attention(q, k, v, batch.attention, scores_);
  return o.front()->forward(out.reshape({n, heads * dim}));
}

at::Tensor Attention::attend_with_cache(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                        const BatchContext& batch, int64_t layer) const {
  const std::vector<int64_t>& lengths = batch.lengths;
  const KvCache& cache = *batch.cache;
  std::vector<at::Tensor> outputs;
  int64_t begin = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t slot = cache.active[i], held = cache.lengths[static_cast<size_t>(slot)];
    const at::Tensor keys = cache.keys[static_cast<size_t>(layer)][slot];
    const at::Tensor values = cache.values[static_cast<size_t>(layer)][slot];
    keys.narrow(0, held, lengths[i]).copy_(k.narrow(0, begin, lengths[i]));
    values.narrow(0, held, lengths[i]).copy_(v.narrow(0, begin, lengths[i]));
    const int64_t total = held + lengths[i];
    outputs.push_back(cached_attention(q.narrow(0, begin, lengths[i]), keys.narrow(0, 0, total),
                                       values.narrow(0, 0, total), scores_));
    begin += lengths[i];
  }
  return at::cat(outputs);
}

Mlp::Mlp(const LayerStructure& structure, const std::string& path, const LinearSource& linears)
    : inner_(structure.in_features(ProjectionGroup::kDown)), activation_(structure.activation) {
  register_linears(gate_up, make_group(structure, ProjectionGroup::kGateUp, path, linears));
  register_linears(down, make_group(structure, ProjectionGroup::kDown, path, linears));
}

at::Tensor Mlp::forward(const at::Tensor& x) {
  const std::vector<at::Tensor> projected = project(gate_up, x, {inner_, inner_});
  const at::Tensor &gate = projected[0], &up = projected[1];
  return down.front()->forward((activation_ == Activation::kSilu ? at::silu(gate) : at::gelu(gate, "tanh")) * up);
}

std::string NotFused::reason() const {
  if (own_forward) return own_forward->name + " has a forward pass of its own";
  return std::string("there is no kernel for ") + c10::toString(dtype) + " on " + device.str();
}

DecoderLayer::DecoderLayer(LayerStructure structure, const std::string& path, const WeightSource& weights,
                           const LinearSource& linears)
    : structure_(std::move(structure)) {
  self_attn = register_module(kAttentionModule, std::make_shared<Attention>(structure_, path, weights, linears));
  mlp = register_module(kMlpModule, std::make_shared<Mlp>(structure_, path, linears));
  before_attention = add_norm(*this, structure_, NormPlace::kBeforeAttention, path, weights);
  after_attention = add_norm(*this, structure_, NormPlace::kAfterAttention, path, weights);
  before_mlp = add_norm(*this, structure_, NormPlace::kBeforeMlp, path, weights);
  after_mlp = add_norm(*this, structure_, NormPlace::kAfterMlp, path, weights);
}

const Linears& DecoderLayer::projections(ProjectionGroup group) const {
  switch (group) {
    case ProjectionGroup::kQkv:
      return self_attn->qkv;
    case ProjectionGroup::kO:
      return self_attn->o;
    case ProjectionGroup::kGateUp:
      return mlp->gate_up;
    case ProjectionGroup::kDown:
      break;
  }
  return mlp->down;
}

std::variant<FusedLayerParts, NotFused> DecoderLayer::fused_form(at::ScalarType dtype) const {
  const at::Device device = self_attn->o.front()->weight_handle().device();
  if (!operations_for(device, dtype)) return NotFused{dtype, device};
  FusedLayerParts all;
  const std::pair<ProjectionGroup, std::vector<LinearParts>&> places[] = {{ProjectionGroup::kQkv, all.qkv},
                                                                          {ProjectionGroup::kO, all.o},
                                                                          {ProjectionGroup::kGateUp, all.gate_up},
                                                                          {ProjectionGroup::kDown, all.down}};
  auto shape = structure_.projections.begin();
  for (const auto& [group, place] : places) {
    for (const auto& linear : projections(group)) {
      std::optional<LinearParts> parts = linear->parts();
      if (!parts) return NotFused{dtype, device, &*shape};
      place.push_back(std::move(*parts));
      ++shape;
    }
  }
  const auto weight = [](const std::shared_ptr<RMSNorm>& norm) { return norm ? norm->weight : at::Tensor(); };
  all.before_attention = weight(before_attention);
  all.after_attention = weight(after_attention);
  all.before_mlp = weight(before_mlp);
  all.after_mlp = weight(after_mlp);
  all.q_norm = weight(self_attn->q_norm);
  all.k_norm = weight(self_attn->k_norm);
  all.norms_multiply_by_one_plus = structure_.norm_kind == NormKind::kOnePlus;
  all.eps = structure_.norm_eps;
  all.gelu = structure_.activation == Activation::kGeluTanh;
  all.layout = structure_.heads;
  all.scores = structure_.scores;
  all.residual_scale = structure_.residual_scale;
  return all;
}

at::Tensor DecoderLayer::add(const at::Tensor& x, const std::shared_ptr<RMSNorm>& norm, at::Tensor y) const {
  if (norm) y = norm->forward(y);
  return structure_.residual_scale == 1 ? x + y : x + y * structure_.residual_scale;
}

at::Tensor DecoderLayer::forward(const at::Tensor& x, const BatchContext& batch, int64_t layer) {
  if (batch.fetched) batch.fetched->enter(layer, layer + 1);
  const Operations* const operations = operations_for(x);
  if (batch.plan.fused && !batch.cache && operations) {
    const auto form = fused_form(x.scalar_type());
    if (const auto* parts = std::get_if<FusedLayerParts>(&form)) {
      const RopeTable rope = batch.rope(structure_.positions);
      return fused_layer(x, *parts, {batch.sequences, rope.cos, rope.sin, batch.plan, batch.fetched, layer},
                         *operations);
    }
  }
  const at::Tensor h =
      add(x, after_attention, self_attn->forward(before_attention ? before_attention->forward(x) : x, batch, layer));
  return add(h, after_mlp, mlp->forward(before_mlp ? before_mlp->forward(h) : h));
}

}  // namespace lora
