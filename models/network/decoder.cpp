#include "models/network/decoder.h"

#include <ATen/ATen.h>

#include <charconv>

#include "models/base/error.h"
#include "models/engine/devices.h"
#include "models/engine/linear_cross_entropy.h"
#include "models/engine/soft_cap.h"
#include "models/engine/vector_math.h"
#include "models/io/file_view.h"
#include "models/network/families/families.h"

namespace lora {

std::optional<int64_t> layer_of(std::string_view path) {
  if (!path.starts_with(kLayersPath)) return std::nullopt;
  const char *const begin = path.data() + kLayersPath.size(), *const end = path.data() + path.size();
  int64_t layer = -1;
  const auto [behind, problem] = std::from_chars(begin, end, layer);
  const bool is_number = problem == std::errc() && layer >= 0 && (behind == end || *behind == '.');
  return is_number ? std::optional(layer) : std::nullopt;
}

namespace {

LinearSource dense_linears(const WeightSource& weights) {
  return [weights](const std::string& path, int64_t out, int64_t in, bool bias) {
    const at::Tensor weight = weights(path + ".weight", {out, in});
    return std::make_shared<DenseLinear>(weight, bias ? weights(path + ".bias", {out}) : at::Tensor());
  };
}

}  // namespace

DenseEmbedding::DenseEmbedding(at::Tensor w, at::ScalarType dtype, double scale) : dtype_(dtype), scale_(scale) {
  weight = register_parameter("weight", std::move(w), /*requires_grad=*/false);
}

at::Tensor DenseEmbedding::forward(const at::Tensor& input_ids) const {
  const at::Tensor x = at::embedding(weight, input_ids).to(dtype_);
  return scale_ == 1 ? x : x * scale_;
}

at::Tensor DenseEmbedding::project(const at::Tensor& hidden) const {
  return at::linear(hidden, weight.to(hidden.scalar_type()));
}

LlamaModel::LlamaModel(const ModelConfig& config, at::ScalarType dtype, const WeightSource& weights,
                       const LinearSource& linears)
    : positions_(config.rope, config.head_dim, config.max_position_embeddings),
      local_positions_(config.local_rope, config.head_dim, config.max_position_embeddings) {
  double scale = config.embedding_scale;
  if (config.round_embedding_scale) scale = at::scalar_tensor(scale, dtype).item<double>();
  embed_tokens = register_module(
      "embed_tokens", std::make_shared<DenseEmbedding>(
                          weights("model.embed_tokens.weight", {config.vocab_size, config.hidden_size}), dtype, scale));
  const auto list = register_module("layers", std::make_shared<torch::nn::Module>("layers"));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const std::string index = std::to_string(i);
    layers.push_back(list->register_module(
        index, std::make_shared<DecoderLayer>(layer_structure(config, config.layers[i]),
                                              std::string(kLayersPath) + index, weights, linears)));
    has_local_ = has_local_ || config.layers[i].positions == Positions::kLocal;
  }
  norm = register_module("norm", std::make_shared<RMSNorm>(weights("model.norm.weight", {config.hidden_size}),
                                                           config.rms_norm_eps, config.norm_kind));
}

void LlamaModel::replace_embedding(const std::shared_ptr<Embedding>& replacement) {
  embed_tokens = replacement;
  replace_module("embed_tokens", replacement);
}

BatchContext LlamaModel::context(const TokenBatch& batch, ExecutionPlan plan, KvCache* cache) {
  const at::Device device = batch.input_ids.device();
  const Sequences sequences = make_sequences(batch.lengths, batch.forks, device);
  std::vector<int64_t> starts(sequences.lengths.size());
  for (size_t i = 0; cache && i < starts.size(); ++i) {
    starts[i] = cache->lengths[static_cast<size_t>(cache->active[i])];
  }
  const auto table = [&](RopePositions& positions) {
    const RopeTable all = positions.of(starts, sequences.lengths, device);
    if (!sequences.places.defined()) return all;
    return RopeTable{all.cos.index_select(0, sequences.places), all.sin.index_select(0, sequences.places)};
  };
  return {batch.lengths,
          sequences,
          table(positions_),
          has_local_ ? table(local_positions_) : RopeTable{},
          cache ? AttentionPlan{} : make_attention_plan(sequences, device),
          cache,
          plan,
          fetched};
}

at::Tensor LlamaModel::forward(const TokenBatch& batch, ExecutionPlan plan, KvCache* cache) {
  const BatchContext shared = context(batch, plan, cache);
  at::Tensor x = embed_tokens->forward(batch.input_ids);
  if (plan.release_weights && embed_tokens->is_plain()) release_pages(embed_tokens->weight_matrix());
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
  settle_vector_math();
  const Family* family = find_family(config_.model_type);
  if (!config_.labels.empty() && (!family || family->classifier.empty())) {
    throw ModelError("transformers has no classifier of '" + config_.model_type +
                     "', so there is no meaning to keep to");
  }
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

at::Tensor LlamaForCausalLM::forward(const at::Tensor& input_ids, ExecutionPlan plan) {
  const int64_t b = input_ids.size(0), t = input_ids.size(1);
  const TokenBatch batch{on_device(input_ids.reshape({b * t}), device()),
                         std::vector<int64_t>(static_cast<size_t>(b), t)};
  return logits(model->forward(batch, plan)).view({b, t, -1});
}

at::Tensor LlamaForCausalLM::logits(const at::Tensor& hidden) {
  const auto& head = output_head();
  const at::Tensor raw = head ? head->forward(hidden) : model->embed_tokens->project(hidden);
  if (score) return raw;
  const at::Tensor scaled = config_.logit_divisor == 1 ? raw : raw / config_.logit_divisor;
  return config_.logit_softcap == 0 ? scaled : soft_cap(scaled, config_.logit_softcap);
}

at::Tensor LlamaForCausalLM::logits_at(const TokenBatch& batch, const at::Tensor& positions, ExecutionPlan plan) {
  return logits(model->forward(batch, plan).index_select(0, positions)).to(at::kFloat);
}

at::Tensor LlamaForCausalLM::loss_sum(const TokenBatch& batch, const at::Tensor& targets, ExecutionPlan plan) {
  const at::Tensor supervised = (targets != kIgnoredTarget).nonzero().squeeze(1);
  const at::Tensor expected = on_device(targets.index_select(0, supervised), device());
  const at::Tensor hidden = model->forward(batch, plan).index_select(0, on_device(supervised, device()));
  if (const at::Tensor weight = unadapted_head_weight(); weight.defined()) {
    const LogitScale scale = score ? LogitScale{} : LogitScale{config_.logit_divisor, config_.logit_softcap};
    const at::Tensor loss = linear_cross_entropy(hidden, weight, expected, scale);
    if (plan.release_weights) release_pages(weight);  // its gradient is done already
    return loss;
  }
  // An adapted head: its own forward, with logits of the supervised tokens.
  return at::cross_entropy_loss(logits(hidden).to(at::kFloat), expected, /*weight=*/{}, at::Reduction::Sum);
}

at::Tensor LlamaForCausalLM::log_probabilities(const TokenBatch& batch, const at::Tensor& positions,
                                               const at::Tensor& targets, ExecutionPlan plan) {
  const at::Tensor hidden = model->forward(batch, plan).index_select(0, positions);
  if (const at::Tensor weight = unadapted_head_weight(); weight.defined()) {
    const at::Tensor log_p =
        linear_log_probabilities(hidden, weight, targets, {config_.logit_divisor, config_.logit_softcap});
    if (plan.release_weights && !weight.requires_grad()) release_pages(weight);
    return log_p;
  }
  const at::Tensor log_p = at::log_softmax(logits(hidden), /*dim=*/-1, at::kFloat);
  return log_p.gather(1, targets.unsqueeze(1)).squeeze(1);
}

void LlamaForCausalLM::put_head(const std::shared_ptr<Linear>& head) {
  if (head && lm_head) {
    replace_linear("lm_head", head);
  } else if (head) {
    register_linear("lm_head", lm_head, head);
  } else if (lm_head) {
    remove_linear("lm_head");
  }
  config_.tie_word_embeddings = !lm_head;
}

at::Tensor LlamaForCausalLM::unadapted_head_weight() const {
  if (has_tied_head()) return model->embed_tokens->is_plain() ? model->embed_tokens->weight_matrix() : at::Tensor();
  const auto dense = std::dynamic_pointer_cast<DenseLinear>(output_head());
  return dense ? dense->weight : at::Tensor();
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
