#include "lora/adapters/inject.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "lora/adapters/matcher.h"
#include "lora/adapters/method.h"
#include "lora/adapters/peft.h"
#include "models/error.h"

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
    paths.push_back({item.key(), linear, item.value() == model.output_head()});
  }
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
    throw Error(ExitCode::kRecipe, "adapter",
                key + ": '" + name +
                    "' is quantized and cannot be trained whole; adapt it through target_modules, or set "
                    "model.quantization: none");
  };
  expect(module, path);
  for (const auto& item : module.named_modules(path, /*include_self=*/false)) expect(*item.value(), item.key());
}

// More than the smaller side gives B·A no more freedom. (A file may have more: PiSSA's is of twice the rank.)
void expect_possible_rank(const AdapterTarget& target, const Linear& base) {
  const int64_t out = base.out_features(), in = base.in_features(), most = std::min(out, in);
  if (target.rank <= most) return;
  throw Error(ExitCode::kRecipe, "adapter",
              "rank " + std::to_string(target.rank) + " of '" + target.path + "' is more than " + std::to_string(most) +
                  ", the smaller side of its weight of " + std::to_string(out) + " × " + std::to_string(in) +
                  "; rank_pattern gives a module a rank of its own");
}

void count_parameters(const LlamaForCausalLM& model, Adaptation& adaptation) {
  for (const auto& module : model.modules(/*include_self=*/false)) {
    const auto linear = std::dynamic_pointer_cast<Linear>(module);
    if (!linear || std::dynamic_pointer_cast<AdapterLinear>(module) || !linear->weight_handle().packed()) continue;
    adaptation.total_parameters += linear->out_features() * linear->in_features();
  }
  for (const at::Tensor& parameter : model.parameters()) {
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
    throw Error(ExitCode::kRecipe, "adapter", "method '" + config.method + "' is not available");
  }
  AdapterConfig wanted = config;
  wanted.modules_to_save = modules_to_save(model, config);
  const ModuleMatch match = match_modules(module_paths(model), wanted);
  for (const AdapterTarget& target : match.targets) {
    const auto base = std::dynamic_pointer_cast<Linear>(module_at(model, target.path));
    if (config.init_from.empty()) expect_possible_rank(target, *base);
    const MethodOptions options{config, target.rank, target.alpha, seed_for(target.path, seed), fresh};
    const auto layer = method->second.wrap(base, options);
    model.replace(target.path, layer);
    adaptation.modules.push_back({target.path, layer});
  }
  for (const std::string& path : match.saved_modules) {
    expect_trainable(*module_at(model, path), path, "modules_to_save");
    train_whole(*module_at(model, path));
  }
  adaptation.saved_modules = match.saved_modules;
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

void for_each_merged_tensor(const LlamaForCausalLM& model,
                            const std::function<void(const std::string&, const at::Tensor&)>& visit) {
  const at::NoGradGuard no_grad;
  const auto visit_linear = [&](const std::string& path, const at::Tensor& weight, const at::Tensor& bias) {
    visit(path + ".weight", weight.to(model.dtype()));
    if (bias.defined()) visit(path + ".bias", bias.to(model.dtype()));
  };
  std::string inside;  // path of the adapter whose base is being walked over
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    if (!inside.empty() && item.key().starts_with(inside + ".")) continue;
    if (const auto adapter = std::dynamic_pointer_cast<AdapterLinear>(item.value())) {
      inside = item.key();
      visit_linear(item.key(), adapter->merged_weight(), adapter->bias_vector());
    } else if (const auto linear = std::dynamic_pointer_cast<Linear>(item.value())) {
      visit_linear(item.key(), linear->weight_matrix(), linear->bias_vector());
    } else {
      for (const auto& parameter : item.value()->named_parameters(/*recurse=*/false)) {
        visit(item.key() + "." + parameter.key(), parameter.value().to(model.dtype()));
      }
    }
  }
}

}  // namespace lora
