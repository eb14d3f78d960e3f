#include "models/network/decoder_layer.h"

#include <ATen/ATen.h>

#include <cmath>

#include "models/engine/operations.h"

namespace lora {
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

Attention::Attention(const ModelConfig& config, const LayerConfig& layer, const std::string& path,
                     const WeightSource& weights, const LinearSource& linears)
    : heads_(config.num_attention_heads),
      kv_heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      positions_(layer.positions),
      qk_norm_(config.qk_norm) {
  scores_.scale = config.attention_scale ? config.attention_scale : 1.0 / std::sqrt(static_cast<double>(head_dim_));
  scores_.softcap = config.attention_softcap;
  scores_.window = layer.window;
  const int64_t hidden = config.hidden_size, q = heads_ * head_dim_, kv = kv_heads_ * head_dim_;
  if (config.fused_projections) {
    register_linear("qkv_proj", qkv_proj, linears(path + ".qkv_proj", q + 2 * kv, hidden, config.qkv_bias));
  } else {
    register_linear("q_proj", q_proj, linears(path + ".q_proj", q, hidden, config.qkv_bias));
    register_linear("k_proj", k_proj, linears(path + ".k_proj", kv, hidden, config.qkv_bias));
    register_linear("v_proj", v_proj, linears(path + ".v_proj", kv, hidden, config.qkv_bias));
  }
  register_linear("o_proj", o_proj, linears(path + ".o_proj", hidden, q, config.o_bias));
  if (qk_norm_ == QkNorm::kNone) return;
  const auto norm = [&](const std::string& name, int64_t width) {
    const int64_t size = qk_norm_ == QkNorm::kHead ? head_dim_ : width;
    return register_module(name, std::make_shared<RMSNorm>(weights(path + "." + name + ".weight", {size}),
                                                           config.rms_norm_eps, config.norm_kind));
  };
  q_norm = norm("q_norm", q);
  k_norm = norm("k_norm", kv);
}

std::vector<std::shared_ptr<Linear>> Attention::input_projections() const {
  if (qkv_proj) return {qkv_proj};
  return {q_proj, k_proj, v_proj};
}

at::Tensor Attention::forward(const at::Tensor& x, const BatchContext& batch, int64_t layer) {
  const int64_t n = x.size(0);
  at::Tensor q, k, v;
  if (qkv_proj) {
    const auto parts =
        qkv_proj->forward(x).split_with_sizes({heads_ * head_dim_, kv_heads_ * head_dim_, kv_heads_ * head_dim_}, 1);
    q = parts[0], k = parts[1], v = parts[2];
  } else {
    // In this order: dropout draws its keys as it goes.
    q = q_proj->forward(x);
    k = k_proj->forward(x);
    v = v_proj->forward(x);
  }
  const auto prepare = [&](at::Tensor y, int64_t heads, const std::shared_ptr<RMSNorm>& norm) {
    if (qk_norm_ == QkNorm::kWhole) y = norm->forward(y);
    y = y.reshape({n, heads, head_dim_});
    if (qk_norm_ == QkNorm::kHead) y = norm->forward(y);
    if (positions_ == Positions::kNone) return y;
    const RopeTable& table = positions_ == Positions::kLocal ? batch.local : batch.global;
    return apply_rope(y, table.cos, table.sin);
  };
  q = prepare(q, heads_, q_norm);
  k = prepare(k, kv_heads_, k_norm);
  v = v.reshape({n, kv_heads_, head_dim_});
  const at::Tensor out =
      batch.cache ? attend_with_cache(q, k, v, batch, layer) : causal_attention(q, k, v, batch.attention, scores_);
  return o_proj->forward(out.reshape({n, heads_ * head_dim_}));
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

Mlp::Mlp(const ModelConfig& config, const std::string& path, const LinearSource& linears)
    : activation_(config.activation) {
  const int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  if (config.fused_projections) {
    register_linear("gate_up_proj", gate_up_proj, linears(path + ".gate_up_proj", 2 * inner, hidden, config.mlp_bias));
  } else {
    register_linear("gate_proj", gate_proj, linears(path + ".gate_proj", inner, hidden, config.mlp_bias));
    register_linear("up_proj", up_proj, linears(path + ".up_proj", inner, hidden, config.mlp_bias));
  }
  register_linear("down_proj", down_proj, linears(path + ".down_proj", hidden, inner, config.mlp_bias));
}

std::vector<std::shared_ptr<Linear>> Mlp::input_projections() const {
  if (gate_up_proj) return {gate_up_proj};
  return {gate_proj, up_proj};
}

at::Tensor Mlp::forward(const at::Tensor& x) {
  at::Tensor gate, up;
  if (gate_up_proj) {
    const auto halves = gate_up_proj->forward(x).chunk(2, -1);
    gate = halves[0], up = halves[1];
  } else {
    // In this order: dropout draws its keys as it goes.
    gate = gate_proj->forward(x);
    up = up_proj->forward(x);
  }
  return down_proj->forward((activation_ == Activation::kSilu ? at::silu(gate) : at::gelu(gate, "tanh")) * up);
}

DecoderLayer::DecoderLayer(const ModelConfig& config, const LayerConfig& layer, const std::string& path,
                           const WeightSource& weights, const LinearSource& linears)
    : layer_(layer),
      residual_scale_(config.residual_scale),
      eps_(config.rms_norm_eps),
      norm_kind_(config.norm_kind),
      activation_(config.activation) {
  self_attn =
      register_module("self_attn", std::make_shared<Attention>(config, layer, path + ".self_attn", weights, linears));
  mlp = register_module("mlp", std::make_shared<Mlp>(config, path + ".mlp", linears));
  const auto norm = [&](const std::string& name) -> std::shared_ptr<RMSNorm> {
    if (name.empty()) return nullptr;
    return register_module(name, std::make_shared<RMSNorm>(weights(path + "." + name + ".weight", {config.hidden_size}),
                                                           config.rms_norm_eps, config.norm_kind));
  };
  before_attention = norm(config.norms.before_attention);
  after_attention = norm(config.norms.after_attention);
  before_mlp = norm(config.norms.before_mlp);
  after_mlp = norm(config.norms.after_mlp);
}

std::string DecoderLayer::why_plain(at::ScalarType dtype) const {
  const at::Device device = self_attn->o_proj->weight_handle().device();
  if (!operations_for(device, dtype)) {
    return std::string("there is no kernel for ") + c10::toString(dtype) + " on " + device.str();
  }
  for (const torch::nn::Module* host :
       {static_cast<torch::nn::Module*>(self_attn.get()), static_cast<torch::nn::Module*>(mlp.get())}) {
    for (const auto& child : host->named_children()) {
      const auto linear = std::dynamic_pointer_cast<Linear>(child.value());
      if (linear && !linear->parts()) return child.key() + " has a forward pass of its own";
    }
  }
  return "";
}

std::optional<FusedLayerParts> DecoderLayer::parts() const {
  FusedLayerParts all;
  const std::pair<std::vector<std::shared_ptr<Linear>>, std::vector<LinearParts>&> places[] = {
      {self_attn->input_projections(), all.qkv},
      {{self_attn->o_proj}, all.o},
      {mlp->input_projections(), all.gate_up},
      {{mlp->down_proj}, all.down},
  };
  for (const auto& [linears, place] : places) {
    for (const auto& linear : linears) {
      std::optional<LinearParts> parts = linear->parts();
      if (!parts) return std::nullopt;
      place.push_back(std::move(*parts));
    }
  }
  const auto weight = [](const std::shared_ptr<RMSNorm>& norm) { return norm ? norm->weight : at::Tensor(); };
  all.before_attention = weight(before_attention);
  all.after_attention = weight(after_attention);
  all.before_mlp = weight(before_mlp);
  all.after_mlp = weight(after_mlp);
  all.q_norm = weight(self_attn->q_norm);
  all.k_norm = weight(self_attn->k_norm);
  all.norms_multiply_by_one_plus = norm_kind_ == NormKind::kOnePlus;
  all.eps = eps_;
  all.gelu = activation_ == Activation::kGeluTanh;
  all.layout = self_attn->layout();
  all.scores = self_attn->scores();
  all.residual_scale = residual_scale_;
  return all;
}

at::Tensor DecoderLayer::add(const at::Tensor& x, const std::shared_ptr<RMSNorm>& norm, at::Tensor y) const {
  if (norm) y = norm->forward(y);
  return residual_scale_ == 1 ? x + y : x + y * residual_scale_;
}

at::Tensor DecoderLayer::forward(const at::Tensor& x, const BatchContext& batch, int64_t layer) {
  const Operations* const operations = operations_for(x);
  if (batch.fused && operations) {
    if (const auto all = parts()) {
      RopeTable table;
      if (layer_.positions != Positions::kNone)
        table = layer_.positions == Positions::kLocal ? batch.local : batch.global;
      return fused_layer(x, *all, {batch.lengths, table.cos, table.sin, batch.recompute, batch.lets_weights_go},
                         *operations);
    }
  }
  const at::Tensor h =
      add(x, after_attention, self_attn->forward(before_attention ? before_attention->forward(x) : x, batch, layer));
  return add(h, after_mlp, mlp->forward(before_mlp ? before_mlp->forward(h) : h));
}

}  // namespace lora
