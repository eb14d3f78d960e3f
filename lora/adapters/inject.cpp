#include "lora/adapters/inject.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "lora/adapters/matcher.h"
#include "lora/adapters/method.h"
#include "lora/adapters/peft.h"
#include "models/base/error.h"

namespace lora {
namespace {

uint64_t seed_for(const std::string& path, uint64_t seed) {
  uint64_t hash = 14695981039346656037ULL ^ seed;  // FNV-1a
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

// Trained weights are float32 and private: AdamW's small steps vanish in half precision, and the file stays as it is.
void train_whole(torch::nn::Module& module) {
  for (at::Tensor& parameter : module.parameters()) {
    parameter.set_data(parameter.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true));
    parameter.requires_grad_(true);
  }
}

std::vector<ModulePath> module_paths(const LlamaForCausalLM& model) {
  std::vector<ModulePath> paths;
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    const bool linear = std::dynamic_pointer_cast<Linear>(item.value()) != nullptr;
    const bool embedding = item.value() == model.model->embed_tokens;
    paths.push_back({item.key(), linear, item.value() == model.output_head(), embedding});
  }
  if (model.has_tied_head()) paths.push_back({kHeadPath, /*linear=*/true, /*output_head=*/true});
  return paths;
}

std::shared_ptr<torch::nn::Module> module_at(const LlamaForCausalLM& model, const std::string& path) {
  return *model.named_modules("", /*include_self=*/false).find(path);
}

// A weight in few bits has no room for an optimizer's steps.
void expect_trainable(const torch::nn::Module& module, const std::string& path, const std::string& key) {
  const auto expect = [&](const torch::nn::Module& one, const std::string& name) {
    const auto* linear = dynamic_cast<const Linear*>(&one);
    if (!linear || !linear->weight_handle().packed()) return;
    throw AdapterError(key + ": '" + name +
                       "' is quantized and cannot be trained whole; adapt it through target_modules, or set "
                       "model.quantization: none");
  };
  expect(module, path);
  for (const auto& item : module.named_modules(path, /*include_self=*/false)) expect(*item.value(), item.key());
}

// More than the smaller side gives B·A no more freedom. (A file may have more: PiSSA's is of twice the rank.)
void expect_possible_rank(const AdapterTarget& target, int64_t out, int64_t in) {
  const int64_t most = std::min(out, in);
  if (target.rank <= most) return;
  throw AdapterError("rank " + std::to_string(target.rank) + " of '" + target.path + "' is more than " +
                     std::to_string(most) + ", the smaller side of its weight of " + std::to_string(out) + " × " +
                     std::to_string(in) + "; rank_pattern gives a module a rank of its own");
}

void expect_embeddable(const AdapterConfig& config) {
  const auto refuse = [](const std::string& what) {
    throw AdapterError("target_modules: " + what +
                       " is for linear layers, and 'model.embed_tokens' is an embedding; train it "
                       "whole with modules_to_save, or adapt it with method lora");
  };
  if (!methods().at(config.method).adapts_embeddings) refuse("method " + config.method);
  if (starts_from_base(config)) refuse("init " + config.init);
  if (config.lora_bias) refuse("lora_bias");
  if (!config.trainable_token_indices.empty()) {
    throw AdapterError("trainable_token_indices: 'model.embed_tokens' is adapted already; wanted one of the two");
  }
}

// What is meant for a tied head and the embedding is sorted out: both as one, or apart.
void settle_tied_head(LlamaForCausalLM& model, const AdapterConfig& config, ModuleMatch& match,
                      Adaptation& adaptation) {
  if (!model.has_tied_head()) return;
  const auto means = [](const auto& item) {
    if constexpr (std::is_same_v<std::decay_t<decltype(item)>, std::string>) {
      return item == kEmbeddingPath || item == kHeadPath;
    } else {
      return item.path == kEmbeddingPath || item.path == kHeadPath;
    }
  };
  const bool saved = std::ranges::any_of(match.saved_modules, means);
  const bool adapted = std::ranges::any_of(match.targets, means);
  // Rows of their own are the tied head's too, whatever ensure_weight_tying says.
  const bool rows = !config.trainable_token_indices.empty();
  if (rows && (saved || adapted)) {
    throw AdapterError(
        "trainable_token_indices: embed_tokens and its tied head are adapted or trained whole already; wanted "
        "one of the two");
  }
  adaptation.tied_head = rows;
  if (!saved && !adapted) return;
  if (!config.ensure_weight_tying) {
    // Another view of the same values, until one of the two is trained.
    model.put_head(std::make_shared<DenseLinear>(model.model->embed_tokens->weight_matrix().detach()));
    return;
  }
  adaptation.tied_head = true;
  std::erase_if(match.targets, means);
  std::erase_if(match.saved_modules, means);
  if (saved) {
    match.saved_modules.insert(match.saved_modules.begin(), kEmbeddingPath);
  } else {
    match.targets.insert(match.targets.begin(), adapter_target(kEmbeddingPath, config));
  }
}

// Biases are trained as other whole weights are.
void train_biases(const LlamaForCausalLM& model, const AdapterConfig& config, Adaptation& adaptation) {
  if (config.bias == Bias::kNone) return;
  for (const auto& item : model.named_parameters()) {
    const std::string& key = item.key();
    if (!key.ends_with(".bias") || item.value().requires_grad()) continue;
    const bool adapted = std::ranges::any_of(
        adaptation.modules, [&](const AdaptedModule& module) { return key == module.path + ".base_layer.bias"; });
    if (config.bias == Bias::kLoraOnly && !adapted) continue;
    at::Tensor bias = item.value();
    bias.set_data(bias.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true));
    bias.requires_grad_(true);
    adaptation.biases.push_back(key);
  }
  if (!adaptation.biases.empty() || !config.init_from.empty()) return;
  throw AdapterError("bias: " + name_of(config.bias) + " trains none here: " +
                     (config.bias == Bias::kAll ? "this model's layers" : "the adapted layers") + " have no biases");
}

// Of a head that was put apart but not trained, its weight is the embedding's.
bool is_second_view(const LlamaForCausalLM& model, const at::Tensor& parameter) {
  const at::Tensor embedding = model.model->embed_tokens->weight_matrix();
  return !parameter.is_same(embedding) && parameter.is_alias_of(embedding) && parameter.numel() == embedding.numel() &&
         parameter.storage_offset() == embedding.storage_offset();
}

void count_parameters(const LlamaForCausalLM& model, Adaptation& adaptation) {
  for (const auto& module : model.modules(/*include_self=*/false)) {
    const auto linear = std::dynamic_pointer_cast<Linear>(module);
    if (!linear || std::dynamic_pointer_cast<AdapterLinear>(module) || !linear->weight_handle().packed()) continue;
    adaptation.total_parameters += linear->out_features() * linear->in_features();
  }
  for (const at::Tensor& parameter : model.parameters()) {
    if (is_second_view(model, parameter)) continue;
    adaptation.total_parameters += parameter.numel();
    if (parameter.requires_grad()) adaptation.trainable_parameters += parameter.numel();
  }
}

}  // namespace

std::string task_type(const LlamaForCausalLM& model) { return model.score ? "SEQ_CLS" : "CAUSAL_LM"; }

std::vector<std::string> modules_to_save(const LlamaForCausalLM& model, const AdapterConfig& config) {
  std::vector<std::string> names = config.modules_to_save;
  if (model.score && std::ranges::count(names, "score") == 0) names.push_back("score");
  return names;
}

Adaptation inject(LlamaForCausalLM& model, const AdapterConfig& config, uint64_t seed, bool fresh) {
  Adaptation adaptation;
  if (config.method == "full") {
    adaptation.whole_network = true;
    expect_trainable(model, "", "method full");
    train_whole(model);
    for (const auto& item : model.named_modules("", /*include_self=*/false)) {
      if (!item.value()->parameters(/*recurse=*/false).empty()) adaptation.saved_modules.push_back(item.key());
    }
    count_parameters(model, adaptation);
    return adaptation;
  }

  const auto method = methods().find(config.method);
  if (method == methods().end()) {
    throw AdapterError("method '" + config.method + "' is not available");
  }
  AdapterConfig wanted = config;
  wanted.modules_to_save = modules_to_save(model, config);
  ModuleMatch match = match_modules(module_paths(model), wanted);
  settle_tied_head(model, config, match, adaptation);
  for (const AdapterTarget& target : match.targets) {
    const MethodOptions options{config, target.rank, target.alpha, seed_for(target.path, seed),
                                fresh && config.init_from.empty()};
    if (target.path == kEmbeddingPath) {
      expect_embeddable(config);
      const std::shared_ptr<Embedding> base = model.model->embed_tokens;
      const at::Tensor w = base->weight_matrix();
      if (config.init_from.empty()) expect_possible_rank(target, w.size(0), w.size(1));
      adaptation.embedding = std::make_shared<LoraEmbedding>(base, options);
      model.model->replace_embedding(adaptation.embedding);
      continue;
    }
    const auto base = std::dynamic_pointer_cast<Linear>(module_at(model, target.path));
    if (config.init_from.empty()) expect_possible_rank(target, base->out_features(), base->in_features());
    const auto layer = method->second.wrap(base, options);
    model.replace(target.path, layer);
    adaptation.modules.push_back({target.path, layer});
  }
  if (!config.trainable_token_indices.empty()) {
    if (std::ranges::count(match.saved_modules, kEmbeddingPath) > 0) {
      throw AdapterError(
          "trainable_token_indices: 'model.embed_tokens' is trained whole by modules_to_save; wanted one of "
          "the two");
    }
    adaptation.embedding = std::make_shared<TokenRows>(model.model->embed_tokens, config.trainable_token_indices);
    model.model->replace_embedding(adaptation.embedding);
  }
  for (const std::string& path : match.saved_modules) {
    expect_trainable(*module_at(model, path), path, "modules_to_save");
    train_whole(*module_at(model, path));
  }
  adaptation.saved_modules = match.saved_modules;
  train_biases(model, config, adaptation);
  if (!config.init_from.empty()) load_peft_weights(config.init_from, model, adaptation, config);
  count_parameters(model, adaptation);
  return adaptation;
}

std::vector<std::pair<std::string, at::Tensor>> trainable_parameters(const LlamaForCausalLM& model) {
  std::vector<std::pair<std::string, at::Tensor>> trained;
  for (const auto& item : model.named_parameters()) {
    if (item.value().requires_grad()) trained.emplace_back(item.key(), item.value());
  }
  return trained;
}

std::vector<LazyTensor> merged_tensors(const LlamaForCausalLM& model) {
  std::vector<LazyTensor> tensors;
  const at::ScalarType dtype = model.dtype();
  const auto add = [&](const std::string& name, at::IntArrayRef shape, std::function<at::Tensor()> make) {
    tensors.push_back({name, dtype, shape.vec(), [dtype, make = std::move(make)] {
                         const at::NoGradGuard no_grad;
                         return make().detach().to(dtype);
                       }});
  };
  const auto add_linear = [&](const std::string& path, const Linear& linear, std::function<at::Tensor()> weight) {
    add(path + ".weight", {linear.out_features(), linear.in_features()}, std::move(weight));
    const at::Tensor bias = linear.bias_vector();
    if (bias.defined()) add(path + ".bias", bias.sizes(), [bias] { return bias; });
  };
  std::string inside;  // path of the adapter whose base is being walked over
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    if (!inside.empty() && item.key().starts_with(inside + ".")) continue;
    if (const auto embedding = std::dynamic_pointer_cast<AdapterEmbedding>(item.value())) {
      inside = item.key();
      add(item.key() + ".weight", embedding->weight_matrix().sizes(),
          [embedding] { return embedding->merged_weight(); });
    } else if (const auto adapter = std::dynamic_pointer_cast<AdapterLinear>(item.value())) {
      inside = item.key();
      if (adapter->bias_vector().defined() && !adapter->base_layer()->bias_vector().defined()) {
        throw AdapterError("lora_bias: merged, '" + item.key() +
                           "' has a bias, for which this model's layers have no place; "
                           "wanted the adapter as it is (export peft)");
      }
      add_linear(item.key(), *adapter, [adapter] { return adapter->merged_weight(); });
    } else if (const auto linear = std::dynamic_pointer_cast<Linear>(item.value())) {
      add_linear(item.key(), *linear, [linear] { return linear->weight_matrix(); });
    } else {
      for (const auto& parameter : item.value()->named_parameters(/*recurse=*/false)) {
        add(item.key() + "." + parameter.key(), parameter.value().sizes(),
            [value = parameter.value()] { return value; });
      }
    }
  }
  return tensors;
}

void for_each_merged_tensor(const LlamaForCausalLM& model,
                            const std::function<void(const std::string&, const at::Tensor&)>& visit) {
  for (const LazyTensor& tensor : merged_tensors(model)) visit(tensor.name, tensor.make());
}

}  // namespace lora
