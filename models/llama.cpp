#include "models/llama.h"

#include <ATen/ATen.h>

#include "models/error.h"
#include "models/ops/kernels/dispatch.h"
#include "models/ops/linear_cross_entropy.h"

namespace lora {
namespace {

LinearSource dense_linears(const WeightSource& weights) {
  return [weights](const std::string& path, int64_t out, int64_t in, bool bias) {
    const at::Tensor weight = weights(path + ".weight", {out, in});
    return std::make_shared<DenseLinear>(weight, bias ? weights(path + ".bias", {out}) : at::Tensor());
  };
}

}  // namespace

KvCache::KvCache(int64_t layers, int64_t slots, int64_t capacity, int64_t kv_heads, int64_t head_dim,
                 const at::TensorOptions& options)
    : lengths(static_cast<size_t>(slots), 0) {
  for (int64_t i = 0; i < layers; ++i) {
    keys.push_back(at::empty({slots, capacity, kv_heads, head_dim}, options));
    values.push_back(at::empty({slots, capacity, kv_heads, head_dim}, options));
  }
  for (int64_t i = 0; i < slots; ++i) active.push_back(i);
}

Embedding::Embedding(at::Tensor w, at::ScalarType dtype) : dtype_(dtype) {
  weight = register_parameter("weight", std::move(w), /*requires_grad=*/false);
}

at::Tensor Embedding::forward(const at::Tensor& input_ids) const { return at::embedding(weight, input_ids).to(dtype_); }

RMSNorm::RMSNorm(at::Tensor w, double eps) : eps_(eps) {
  weight = register_parameter("weight", std::move(w), /*requires_grad=*/false);
}

at::Tensor RMSNorm::forward(const at::Tensor& x) const {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = wide.pow(2).mean(-1, /*keepdim=*/true).add_(eps_).rsqrt_();
  return weight.to(x.scalar_type()) * (wide * scale).to(x.scalar_type());
}

Attention::Attention(const ModelConfig& config, const std::string& path, const LinearSource& linears)
    : heads_(config.num_attention_heads), kv_heads_(config.num_key_value_heads), head_dim_(config.head_dim) {
  const int64_t hidden = config.hidden_size, q = heads_ * head_dim_, kv = kv_heads_ * head_dim_;
  register_linear("q_proj", q_proj, linears(path + ".q_proj", q, hidden, config.qkv_bias));
  register_linear("k_proj", k_proj, linears(path + ".k_proj", kv, hidden, config.qkv_bias));
  register_linear("v_proj", v_proj, linears(path + ".v_proj", kv, hidden, config.qkv_bias));
  register_linear("o_proj", o_proj, linears(path + ".o_proj", hidden, q, config.o_bias));
}

at::Tensor Attention::forward(const at::Tensor& x, const BatchContext& batch, int64_t layer) {
  const int64_t n = x.size(0);
  const at::Tensor q = apply_rope(q_proj->forward(x).view({n, heads_, head_dim_}), batch.cos, batch.sin);
  const at::Tensor k = apply_rope(k_proj->forward(x).view({n, kv_heads_, head_dim_}), batch.cos, batch.sin);
  const at::Tensor v = v_proj->forward(x).view({n, kv_heads_, head_dim_});
  const at::Tensor out =
      batch.cache ? attend_with_cache(q, k, v, batch, layer) : causal_attention(q, k, v, batch.attention);
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
    outputs.push_back(
        cached_attention(q.narrow(0, begin, lengths[i]), keys.narrow(0, 0, total), values.narrow(0, 0, total)));
    begin += lengths[i];
  }
  return at::cat(outputs);
}

Mlp::Mlp(const ModelConfig& config, const std::string& path, const LinearSource& linears) {
  const int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  register_linear("gate_proj", gate_proj, linears(path + ".gate_proj", inner, hidden, config.mlp_bias));
  register_linear("up_proj", up_proj, linears(path + ".up_proj", inner, hidden, config.mlp_bias));
  register_linear("down_proj", down_proj, linears(path + ".down_proj", hidden, inner, config.mlp_bias));
}

at::Tensor Mlp::forward(const at::Tensor& x) {
  // In this order: dropout draws its keys as it goes.
  const at::Tensor gate = gate_proj->forward(x);
  const at::Tensor up = up_proj->forward(x);
  return down_proj->forward(at::silu(gate) * up);
}

DecoderLayer::DecoderLayer(const ModelConfig& config, const std::string& path, const WeightSource& weights,
                           const LinearSource& linears) {
  self_attn = register_module("self_attn", std::make_shared<Attention>(config, path + ".self_attn", linears));
  mlp = register_module("mlp", std::make_shared<Mlp>(config, path + ".mlp", linears));
  const auto norm = [&](const std::string& name) {
    return std::make_shared<RMSNorm>(weights(path + "." + name + ".weight", {config.hidden_size}), config.rms_norm_eps);
  };
  input_layernorm = register_module("input_layernorm", norm("input_layernorm"));
  post_attention_layernorm = register_module("post_attention_layernorm", norm("post_attention_layernorm"));
}

std::string DecoderLayer::why_plain(at::ScalarType dtype) const {
  const at::Device device = input_layernorm->weight.device();
  if (!kernels::serves(at::empty({0}, at::TensorOptions(dtype).device(device)))) {
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
  const std::pair<const std::shared_ptr<Linear>&, LinearParts&> places[] = {
      {self_attn->q_proj, all.q}, {self_attn->k_proj, all.k}, {self_attn->v_proj, all.v}, {self_attn->o_proj, all.o},
      {mlp->gate_proj, all.gate}, {mlp->up_proj, all.up},     {mlp->down_proj, all.down},
  };
  for (const auto& [linear, place] : places) {
    std::optional<LinearParts> parts = linear->parts();
    if (!parts) return std::nullopt;
    place = std::move(*parts);
  }
  all.input_norm = input_layernorm->weight;
  all.post_attention_norm = post_attention_layernorm->weight;
  all.eps = input_layernorm->eps();
  all.layout = self_attn->layout();
  return all;
}

at::Tensor DecoderLayer::forward(const at::Tensor& x, const BatchContext& batch, int64_t layer) {
  if (batch.fused && kernels::serves(x)) {
    if (const auto all = parts()) return fused_layer(x, *all, {batch.lengths, batch.cos, batch.sin, batch.recompute});
  }
  const at::Tensor h = x + self_attn->forward(input_layernorm->forward(x), batch, layer);
  return h + mlp->forward(post_attention_layernorm->forward(h));
}

LlamaModel::LlamaModel(const ModelConfig& config, at::ScalarType dtype, const WeightSource& weights,
                       const LinearSource& linears)
    : config_(config) {
  embed_tokens = register_module(
      "embed_tokens", std::make_shared<Embedding>(
                          weights("model.embed_tokens.weight", {config.vocab_size, config.hidden_size}), dtype));
  const auto list = register_module("layers", std::make_shared<torch::nn::Module>("layers"));
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string index = std::to_string(i);
    layers.push_back(list->register_module(
        index, std::make_shared<DecoderLayer>(config, "model.layers." + index, weights, linears)));
  }
  norm = register_module(
      "norm", std::make_shared<RMSNorm>(weights("model.norm.weight", {config.hidden_size}), config.rms_norm_eps));
}

BatchContext LlamaModel::context(const TokenBatch& batch, KvCache* cache) {
  std::vector<at::Tensor> spans;
  int64_t longest = 0;
  for (size_t i = 0; i < batch.lengths.size(); ++i) {
    const int64_t start = cache ? cache->lengths[static_cast<size_t>(cache->active[i])] : 0;
    spans.push_back(at::arange(start, start + batch.lengths[i], at::kLong));
    longest = std::max(longest, start + batch.lengths[i]);
  }
  const at::Device device = batch.input_ids.device();
  if (!table_.cos.defined() || table_.cos.size(0) < longest || table_.cos.device() != device) {
    const int64_t positions = std::max(longest, std::min<int64_t>(config_.max_position_embeddings, 4096));
    table_ = make_rope_table(config_.rope, config_.head_dim, positions);
    table_ = {table_.cos.to(device), table_.sin.to(device)};
  }
  const at::Tensor positions = at::cat(spans).to(device);
  return {batch.lengths,
          table_.cos.index_select(0, positions),
          table_.sin.index_select(0, positions),
          cache ? AttentionPlan{} : make_attention_plan(batch.lengths, device),
          cache,
          fused && !cache,
          recompute};
}

at::Tensor LlamaModel::forward(const TokenBatch& batch, KvCache* cache) {
  const BatchContext shared = context(batch, cache);
  at::Tensor x = embed_tokens->forward(batch.input_ids);
  for (size_t i = 0; i < layers.size(); ++i) {
    x = layers[i]->forward(x, shared, static_cast<int64_t>(i));
  }
  if (cache) {
    for (size_t i = 0; i < batch.lengths.size(); ++i) {
      cache->lengths[static_cast<size_t>(cache->active[i])] += batch.lengths[i];
    }
  }
  return norm->forward(x);
}

LlamaForCausalLM::LlamaForCausalLM(ModelConfig config, at::ScalarType dtype, const WeightSource& weights,
                                   LinearSource linears)
    : config_(std::move(config)), dtype_(dtype) {
  const LinearSource dense = dense_linears(weights);
  if (!linears) linears = dense;
  model = register_module("model", std::make_shared<LlamaModel>(config_, dtype, weights, linears));
  if (!config_.labels.empty()) {
    const auto rows = static_cast<int64_t>(config_.labels.size());
    register_linear("score", score, dense("score", rows, config_.hidden_size, /*bias=*/false));
  } else if (!config_.tie_word_embeddings) {
    register_linear("lm_head", lm_head, dense("lm_head", config_.vocab_size, config_.hidden_size, /*bias=*/false));
  }
}

at::Tensor LlamaForCausalLM::forward(const at::Tensor& input_ids) {
  const int64_t b = input_ids.size(0), t = input_ids.size(1);
  const TokenBatch batch{input_ids.reshape({b * t}), std::vector<int64_t>(static_cast<size_t>(b), t)};
  return logits(model->forward(batch)).view({b, t, -1});
}

at::Tensor LlamaForCausalLM::logits(const at::Tensor& hidden) {
  const auto& head = output_head();
  return head ? head->forward(hidden) : at::linear(hidden, model->embed_tokens->weight.to(hidden.scalar_type()));
}

at::Tensor LlamaForCausalLM::logits_at(const TokenBatch& batch, const at::Tensor& positions) {
  return logits(model->forward(batch).index_select(0, positions)).to(at::kFloat);
}

at::Tensor LlamaForCausalLM::loss_sum(const TokenBatch& batch, const at::Tensor& targets) {
  const at::Tensor supervised = (targets != -100).nonzero().squeeze(1);
  const at::Tensor hidden = model->forward(batch).index_select(0, supervised);
  const at::Tensor wanted = targets.index_select(0, supervised);
  const auto dense = std::dynamic_pointer_cast<DenseLinear>(output_head());
  if (!output_head() || dense) {
    return linear_cross_entropy(hidden, dense ? dense->weight : model->embed_tokens->weight, wanted);
  }
  // An adapted head: its own forward, with logits of the supervised tokens.
  return at::cross_entropy_loss(logits(hidden).to(at::kFloat), wanted, /*weight=*/{}, at::Reduction::Sum);
}

void LlamaForCausalLM::replace(const std::string& path, const std::shared_ptr<Linear>& replacement) {
  // Down the path: a list of all modules would be made anew for every layer that is replaced.
  std::shared_ptr<torch::nn::Module> found;
  torch::nn::Module* parent = this;
  size_t begin = 0;
  for (size_t dot; parent && (dot = path.find('.', begin)) != std::string::npos; begin = dot + 1) {
    const auto children = parent->named_children();
    const auto* child = children.find(path.substr(begin, dot - begin));
    found = child ? *child : nullptr;
    parent = found.get();
  }
  auto* host = dynamic_cast<LinearHost*>(parent);
  if (!host) throw ModelError("no linear layer at '" + path + "'");
  host->replace_linear(path.substr(begin), replacement);
}

}  // namespace lora
