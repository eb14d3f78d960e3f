#include "lora/adapters/inject.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "lora/adapters/initialise.h"
#include "lora/adapters/matcher.h"
#include "lora/adapters/peft.h"
#include "lora/adapters/registry.h"
#include "lora/adapters/token_rows.h"
#include "models/base/error.h"

namespace lora {
namespace {

uint64_t seed_for(const std::string& path, uint64_t seed) {
  uint64_t hash = 14695981039346656037ULL ^ seed;  // FNV-1a
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

// Trained weights are float32 and private: AdamW's small steps vanish in half precision, and the file stays as it is.
// An adapter keeps the base's values; null where the network itself is trained.
void train_whole(const at::Tensor& parameter, AdapterSwitch* adapter_switch) {
  if (adapter_switch) keep_base(*adapter_switch, parameter);
  parameter.set_data(parameter.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true));
  parameter.requires_grad_(true);
}

void train_whole(const torch::nn::Module& module, AdapterSwitch* adapter_switch) {
  for (const at::Tensor& parameter : module.parameters()) train_whole(parameter, adapter_switch);
}

using Modules = torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>;

std::shared_ptr<LinearHost> host_of(const std::shared_ptr<LlamaForCausalLM>& model, const Modules& modules,
                                    const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? model : std::dynamic_pointer_cast<LinearHost>(modules[path.substr(0, dot)]);
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

AdapterConfig with_saved_head(const LlamaForCausalLM& model, AdapterConfig config) {
  config.modules_to_save = modules_to_save(model, config);
  return config;
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
  if (!find_method(config.method).wrap_embedding) refuse("method " + config.method);
  if (starts_from_base(config)) refuse("init " + config.init);
  if (config.lora_bias) refuse("lora_bias");
  if (!config.trainable_token_indices.empty()) {
    throw AdapterError("trainable_token_indices: 'model.embed_tokens' is adapted already; expected one of the two");
  }
}

// What is meant for a tied head and the embedding is sorted out: both as one, or apart.
void settle_tied_head(ModuleMatch& match, AdaptedModel& adapted) {
  LlamaForCausalLM& model = *adapted.model;
  const AdapterConfig& config = adapted.config;
  if (!model.has_tied_head()) return;
  const auto means = [](const auto& item) {
    if constexpr (std::is_same_v<std::decay_t<decltype(item)>, std::string>) {
      return item == kEmbeddingPath || item == kHeadPath;
    } else {
      return item.path == kEmbeddingPath || item.path == kHeadPath;
    }
  };
  const bool saved = std::ranges::any_of(match.saved_modules, means);
  const bool targeted = std::ranges::any_of(match.targets, means);
  // Rows of their own are the tied head's too, whatever ensure_weight_tying says.
  const bool rows = !config.trainable_token_indices.empty();
  if (rows && (saved || targeted)) {
    throw AdapterError(
        "trainable_token_indices: embed_tokens and its tied head are adapted or trained whole already; expected "
        "one of the two");
  }
  adapted.tied_head = rows;
  if (!saved && !targeted) return;
  if (!config.ensure_weight_tying) {
    // Another view of the same values, until one of the two is trained.
    adapted.own_head = std::make_shared<DenseLinear>(model.model->embed_tokens->weight_matrix().detach());
    model.put_head(adapted.own_head);
    return;
  }
  adapted.tied_head = true;
  std::erase_if(match.targets, means);
  std::erase_if(match.saved_modules, means);
  if (saved) {
    match.saved_modules.insert(match.saved_modules.begin(), kEmbeddingPath);
  } else {
    match.targets.insert(match.targets.begin(), adapter_target(kEmbeddingPath, config));
  }
}

bool trains_whole_path(const AdaptedModel& adapted, const std::string& path) {
  return std::ranges::count(adapted.saved_modules, path) > 0;
}

// Rows of new tokens begin as no file says.
void train_new_rows(const ModuleMatch& match, AdaptedModel& adapted) {
  AdapterConfig& config = adapted.config;
  const LlamaForCausalLM& model = *adapted.model;
  const bool saved = std::ranges::any_of(
      match.saved_modules, [](const std::string& path) { return path == kEmbeddingPath || path == kHeadPath; });
  const bool targeted = std::ranges::any_of(match.targets, [](const AdapterTarget& target) {
    return target.path == kEmbeddingPath || target.path == kHeadPath;
  });
  if (!config.file.empty() || saved || targeted || model.lm_head) return;
  for (const int64_t id : model.config().new_tokens) {
    if (std::ranges::count(config.trainable_token_indices, id) == 0) config.trainable_token_indices.push_back(id);
  }
}

// Biases are trained as other whole weights are.
void train_biases(AdaptedModel& adapted) {
  const AdapterConfig& config = adapted.config;
  if (config.bias == Bias::kNone) return;
  for (const auto& item : adapted.model->named_parameters()) {
    const std::string& key = item.key();
    if (!key.ends_with(".bias") || item.value().requires_grad()) continue;
    const bool of_adapted = std::ranges::any_of(
        adapted.modules, [&](const AdaptedModule& module) { return key == module.path + ".base_layer.bias"; });
    if (config.bias == Bias::kLoraOnly && !of_adapted) continue;
    train_whole(item.value(), adapted.adapter_switch.get());
    adapted.biases.push_back(key);
  }
  if (!adapted.biases.empty() || !config.init_from.empty()) return;
  throw AdapterError("bias: " + name_of(config.bias) + " trains none here: " +
                     (config.bias == Bias::kAll ? "this model's layers" : "the adapted layers") + " have no biases");
}

// Of a head that was put apart but not trained, its weight is the embedding's.
bool is_second_view(const LlamaForCausalLM& model, const at::Tensor& parameter) {
  const at::Tensor embedding = model.model->embed_tokens->weight_matrix();
  return !parameter.is_same(embedding) && parameter.is_alias_of(embedding) && parameter.numel() == embedding.numel() &&
         parameter.storage_offset() == embedding.storage_offset();
}

void count_parameters(AdaptedModel& adapted) {
  const LlamaForCausalLM& model = *adapted.model;
  for (const auto& module : model.modules(/*include_self=*/false)) {
    const auto linear = std::dynamic_pointer_cast<Linear>(module);
    if (!linear || std::dynamic_pointer_cast<AdapterLinear>(module) || !linear->weight_handle().packed()) continue;
    adapted.total_parameters += linear->out_features() * linear->in_features();
  }
  for (const at::Tensor& parameter : model.parameters()) {
    if (is_second_view(model, parameter)) continue;
    adapted.total_parameters += parameter.numel();
    if (parameter.requires_grad()) adapted.trainable_parameters += parameter.numel();
  }
}

void adapt_embedding(AdaptedModel& adapted, const AdapterTarget& target, const LayerOptions& options) {
  const AdapterConfig& config = adapted.config;
  expect_embeddable(config);
  const std::shared_ptr<Embedding> base = adapted.model->model->embed_tokens;
  const at::Tensor w = base->weight_matrix();
  if (config.init_from.empty()) expect_possible_rank(target, w.size(0), w.size(1));
  adapted.embedding = find_method(config.method).wrap_embedding(base, options);
  adapted.model->model->replace_embedding(adapted.embedding);
}

void adapt_linear(AdaptedModel& adapted, const Modules& modules, const AdapterTarget& target,
                  const LayerOptions& options) {
  const auto base = std::dynamic_pointer_cast<Linear>(modules[target.path]);
  if (adapted.config.init_from.empty()) expect_possible_rank(target, base->out_features(), base->in_features());
  const auto layer = find_method(adapted.config.method).wrap(base, options);
  const auto host = host_of(adapted.model, modules, target.path);
  host->replace_linear(target.path.substr(target.path.rfind('.') + 1), layer);
  adapted.modules.push_back({target.path, layer, host});
}

void add_adapter(AdaptedModel& adapted, uint64_t seed, bool fresh) {
  LlamaForCausalLM& model = *adapted.model;
  const AdapterConfig& config = adapted.config;
  ModuleMatch match = match_modules(module_paths(model), with_saved_head(model, config));
  adapted.notes = match.notes;
  train_new_rows(match, adapted);
  settle_tied_head(match, adapted);
  const Modules modules = model.named_modules("", /*include_self=*/false);
  for (const AdapterTarget& target : match.targets) {
    const LayerOptions options{config, target.rank, target.alpha, seed_for(target.path, seed),
                               fresh && config.init_from.empty()};
    if (target.path == kEmbeddingPath) {
      adapt_embedding(adapted, target, options);
    } else {
      adapt_linear(adapted, modules, target, options);
    }
  }
  if (!config.trainable_token_indices.empty()) {
    if (std::ranges::count(match.saved_modules, kEmbeddingPath) > 0) {
      throw AdapterError(
          "trainable_token_indices: 'model.embed_tokens' is trained whole by modules_to_save; expected one of "
          "the two");
    }
    adapted.embedding = std::make_shared<TokenRows>(model.model->embed_tokens, config.trainable_token_indices);
    model.model->replace_embedding(adapted.embedding);
  }
  for (const std::string& path : match.saved_modules) {
    expect_trainable(*module_at(model, path), path, "modules_to_save");
    train_whole(*module_at(model, path), adapted.adapter_switch.get());
  }
  adapted.saved_modules = match.saved_modules;
  if (config.file.empty() && !model.config().new_tokens.empty()) expect_new_rows_trained(adapted);
  train_biases(adapted);
  if (!config.init_from.empty()) load_peft_weights(config.init_from, adapted);
}

void train_network(AdaptedModel& adapted) {
  expect_trainable(*adapted.model, "", "method " + adapted.config.method);
  train_whole(*adapted.model, nullptr);
  for (const auto& item : adapted.model->named_modules("", /*include_self=*/false)) {
    if (!item.value()->parameters(/*recurse=*/false).empty()) adapted.saved_modules.push_back(item.key());
  }
}

}  // namespace

std::vector<UnmatchedPattern> unmatched_patterns(const LlamaForCausalLM& model, const AdapterConfig& config) {
  return unmatched_patterns(module_paths(model), with_saved_head(model, config));
}

std::vector<std::string> meant_paths(const LlamaForCausalLM& model, const AdapterConfig& config) {
  const ModuleMatch match = match_modules(module_paths(model), with_saved_head(model, config));
  std::vector<std::string> paths = match.saved_modules;
  for (const AdapterTarget& target : match.targets) paths.push_back(target.path);
  return paths;
}

void expect_new_rows_trained(const AdaptedModel& adapted) {
  const ModelConfig& config = adapted.model->config();
  std::set<int64_t> ids(config.new_tokens.begin(), config.new_tokens.end());
  for (int64_t id = config.vocab_size - config.new_rows; id < config.vocab_size; ++id) ids.insert(id);
  if (ids.empty() || find_method(adapted.config.method).trains_network) return;
  const std::vector<int64_t>& rows = adapted.config.trainable_token_indices;
  const bool embedding = trains_whole_path(adapted, kEmbeddingPath) ||
                         std::ranges::all_of(ids, [&](int64_t id) { return std::ranges::count(rows, id) > 0; });
  const bool own_head = adapted.model->lm_head != nullptr;
  if (embedding && (!own_head || trains_whole_path(adapted, kHeadPath))) return;
  throw AdapterError("the rows of " + std::to_string(ids.size()) + " new tokens are not all trained: " +
                     (own_head ? "the model has a head of its own; expected modules_to_save: [embed_tokens, lm_head]"
                               : "expected them in trainable_token_indices, or modules_to_save: [embed_tokens]"));
}

AdaptedModel inject(std::shared_ptr<LlamaForCausalLM> model, const AdapterConfig& config, uint64_t seed, bool fresh) {
  AdaptedModel adapted;
  adapted.model = std::move(model);
  adapted.config = resolved_method(config);
  if (find_method(adapted.config.method).trains_network) {
    train_network(adapted);
  } else {
    adapted.adapter_switch = new_switch();
    try {
      add_adapter(adapted, seed, fresh);
    } catch (const AdapterError& e) {
      detach(adapted);
      if (adapted.config.file.empty()) throw;
      throw ModelError(adapted.config.file + ": " + without_component(e));
    } catch (...) {
      detach(adapted);
      throw;
    }
  }
  count_parameters(adapted);
  return adapted;
}

}  // namespace lora
