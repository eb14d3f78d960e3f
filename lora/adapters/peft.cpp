#include "lora/adapters/peft.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "lora/adapters/matcher.h"
#include "lora/adapters/method.h"
#include "models/error.h"
#include "models/io/atomic_file.h"
#include "models/io/safetensors.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kWeightsFile = "adapter_model.safetensors";

// PEFT resolves all-linear when it saves, so that the file means the same whatever loads it.
ordered_json target_names(const ModulePatterns& patterns, const Adaptation& adaptation) {
  if (const auto* list = std::get_if<std::vector<std::string>>(&patterns)) return *list;
  if (const auto* regex = std::get_if<std::string>(&patterns)) return *regex;
  std::set<std::string> names;
  for (const AdaptedModule& module : adaptation.modules) names.insert(module.path.substr(module.path.rfind('.') + 1));
  return names;
}

ordered_json list_or_null(const ModulePatterns& patterns) {
  if (const auto* list = std::get_if<std::vector<std::string>>(&patterns); list && list->empty()) return nullptr;
  if (const auto* list = std::get_if<std::vector<std::string>>(&patterns)) return *list;
  return std::get<std::string>(patterns);
}

template <typename T>
ordered_json pattern_object(const std::vector<std::pair<std::string, T>>& entries, T factor) {
  ordered_json object = ordered_json::object();
  for (const auto& [key, value] : entries) object[key] = factor * value;
  return object;
}

ModulePatterns parse_patterns(const json& value) {
  if (value.is_null()) return std::vector<std::string>{};
  if (value == "all-linear") return AllLinear{};
  if (value.is_string()) return value.get<std::string>();
  return value.get<std::vector<std::string>>();
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Options whose value leaves plain LoRA as it is: anything else is refused by name.
bool is_neutral(const std::string& key, const json& value) {
  static const std::set<std::string> informative = {"auto_mapping",   "base_model_name_or_path",
                                                    "inference_mode", "peft_type",
                                                    "task_type",      "revision",
                                                    "peft_version",   "loftq_config",
                                                    "runtime_config", "qalora_group_size",
                                                    "megatron_core",  "eva_config",
                                                    "corda_config",   "lora_ga_config",
                                                    "layers_pattern"};
  if (informative.contains(key)) return value.is_null() || key != "layers_pattern";
  return value.is_null() || value == false || value == "none" ||
         ((value.is_array() || value.is_object()) && value.empty());
}

// The method that the file's peft_type and flags say; takes the flags out of it.
std::string take_method(json& file, const fs::path& path) {
  const std::string type = file.value("peft_type", "");
  std::set<std::string> types, set;
  for (const auto& [name, method] : methods()) {
    types.insert(method.peft_type);
    for (const std::string& flag : method.peft_flags) {
      if (file.value(flag, json()) == true) set.insert(flag);
    }
  }
  for (const auto& [name, method] : methods()) {
    if (method.peft_type != type || std::set(method.peft_flags.begin(), method.peft_flags.end()) != set) continue;
    for (const std::string& flag : set) file.erase(flag);
    return name;
  }
  if (!types.contains(type))
    throw ModelError(path.string() + ": 'peft_type' is '" + type + "'; supported is " + joined(types));
  throw ModelError(path.string() + ": " + joined(set) + " together are not supported");
}

// Takes in values of the order and shapes of trained_tensors().
void put_trained_tensors(const LlamaForCausalLM& model, const Adaptation& adaptation,
                         const std::vector<at::Tensor>& values) {
  const at::NoGradGuard no_grad;
  const auto places = trained_tensors(model, adaptation);
  size_t next = 0;
  for (const AdaptedModule& module : adaptation.modules) {
    std::vector<at::Tensor> own(module.layer->peft_tensors().size());
    for (at::Tensor& value : own) value = values[next++];
    module.layer->load_peft_tensors(own);
  }
  for (; next < places.size(); ++next) at::Tensor(places[next].second).copy_(values[next]);
}

}  // namespace

std::vector<std::pair<std::string, at::Tensor>> trained_tensors(const LlamaForCausalLM& model,
                                                                const Adaptation& adaptation) {
  const std::string prefix = adaptation.modules.empty() ? "" : "base_model.model.";
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const AdaptedModule& module : adaptation.modules) {
    for (const auto& [name, tensor] : module.layer->peft_tensors()) {
      tensors.emplace_back(prefix + module.path + "." + name, tensor);
    }
  }
  for (const auto& item : model.named_parameters()) {
    const bool saved = std::ranges::any_of(adaptation.saved_modules,
                                           [&](const std::string& path) { return item.key().starts_with(path + "."); });
    if (saved) tensors.emplace_back(prefix + item.key(), item.value());
  }
  return tensors;
}

void copy_trained_tensors(const LlamaForCausalLM& from, const Adaptation& from_adaptation, const LlamaForCausalLM& to,
                          const Adaptation& to_adaptation) {
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : trained_tensors(from, from_adaptation)) values.push_back(tensor);
  put_trained_tensors(to, to_adaptation, values);
}

void write_peft(const fs::path& directory, const LlamaForCausalLM& model, const Adaptation& adaptation,
                const AdapterConfig& config, const std::string& base_model) {
  const Method& method = methods().at(config.method);
  // A pair that came out of the base is saved as plain LoRA of twice the rank, at the same scaling.
  const bool doubled = starts_from_base(config);
  const int64_t ranks = doubled ? 2 : 1;
  const double alphas = !doubled ? 1 : config.use_rslora ? std::sqrt(2.0) : 2;
  ordered_json file = {
      {"peft_type", method.peft_type},
      {"task_type", task_type(model)},
      {"base_model_name_or_path", base_model},
      {"revision", nullptr},
      {"inference_mode", true},
      {"r", ranks * config.rank},
      {"lora_alpha", alphas * config.alpha},
      {"lora_dropout", config.dropout},
      {"target_modules", target_names(config.target_modules, adaptation)},
      {"exclude_modules", list_or_null(config.exclude_modules)},
      {"layers_to_transform",
       config.layers_to_transform.empty() ? ordered_json() : ordered_json(config.layers_to_transform)},
      {"rank_pattern", pattern_object(config.rank_pattern, ranks)},
      {"alpha_pattern", pattern_object(config.alpha_pattern, alphas)},
      {"modules_to_save", list_or_null(modules_to_save(model, config))},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"init_lora_weights", config.init == "gaussian" ? ordered_json("gaussian") : ordered_json(true)},
      {"use_rslora", config.use_rslora},
      {"use_dora", false},
  };
  for (const std::string& flag : method.peft_flags) file[flag] = true;
  if (method.write_config) method.write_config(file, adaptation, config);
  write_safetensors(directory / kWeightsFile, trained_tensors(model, adaptation), {{"format", "pt"}});
  write_file_atomically(directory / kConfigFile, file.dump(2) + "\n");
  write_labels(directory, model.config().labels);
}

PeftAdapter read_peft_config(const fs::path& directory) {
  const fs::path path = directory / kConfigFile;
  std::ifstream in(path, std::ios::binary);
  if (!in) throw ModelError(directory.string() + ": no " + kConfigFile + "; wanted a PEFT adapter directory");
  PeftAdapter adapter;
  try {
    json file = json::parse(in);
    adapter.config.method = take_method(file, path);
    if (file.contains("base_model_name_or_path") && file["base_model_name_or_path"].is_string()) {
      adapter.base_model = file["base_model_name_or_path"];
    }
    if (const json task = file.value("task_type", json()); task.is_string()) adapter.task_type = task;
    AdapterConfig& config = adapter.config;
    const Method& method = methods().at(config.method);
    const auto take = [&](const char* key) {
      const json value = file.value(key, json());
      file.erase(key);
      return value;
    };
    const auto take_number = [&](const char* key, double fallback) {
      const json value = take(key);
      return value.is_null() ? fallback : value.get<double>();
    };
    if (method.take_config) {
      method.take_config(file, config);
    } else {
      const json rank = take("r");
      config.rank = rank.is_null() ? 8 : rank.get<int64_t>();
    }
    config.alpha = take_number("lora_alpha", 8);
    config.dropout = take_number("lora_dropout", 0);
    config.target_modules = parse_patterns(take("target_modules"));
    config.exclude_modules = parse_patterns(take("exclude_modules"));
    const json layers = take("layers_to_transform");
    if (layers.is_number_integer()) config.layers_to_transform = {layers.get<int64_t>()};
    if (layers.is_array()) config.layers_to_transform = layers.get<std::vector<int64_t>>();
    const json ranks = take("rank_pattern"), alphas = take("alpha_pattern");
    for (const auto& item : ranks.items()) config.rank_pattern.emplace_back(item.key(), item.value());
    for (const auto& item : alphas.items()) config.alpha_pattern.emplace_back(item.key(), item.value());
    if (const json saved = take("modules_to_save"); !saved.is_null()) config.modules_to_save = saved;
    // PEFT lists the heads of every family there.
    if (adapter.task_type == "SEQ_CLS") {
      std::erase_if(config.modules_to_save,
                    [](const std::string& name) { return name == "score" || name == "classifier"; });
    }
    config.use_rslora = take("use_rslora") == true;
    const json init = take("init_lora_weights");
    if (init == "gaussian") config.init = "gaussian";
    if (init == "olora" || (init.is_string() && init.get<std::string>().starts_with("pissa"))) {
      throw ModelError(path.string() + ": 'init_lora_weights' is " + init.dump() +
                       ": the weights fit a base that PEFT changed; wanted is an adapter of the base as it is, which " +
                       "PEFT saves with path_initial_model_for_weight_conversion");
    }
    for (const auto& item : file.items()) {
      if (!is_neutral(item.key(), item.value())) {
        throw ModelError(path.string() + ": option '" + item.key() + "' is " + item.value().dump() +
                         ", which is not supported");
      }
    }
    if (config.rank < 1) throw ModelError(path.string() + ": 'r' is " + std::to_string(config.rank) + "; wanted >= 1");
  } catch (const json::exception& e) {
    throw ModelError(path.string() + ": not a PEFT adapter_config.json: " + e.what());
  }
  return adapter;
}

void load_trained_tensors(const fs::path& path, const LlamaForCausalLM& model, const Adaptation& adaptation) {
  const at::NoGradGuard no_grad;
  const SafetensorsFile file(path);
  std::set<std::string> wanted;
  std::vector<std::string> missing, extra;
  const auto list = [](const std::vector<std::string>& names) {
    constexpr size_t kShown = 3;
    std::string text;
    for (size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i ? ", '" : "'") + names[i] + "'";
    return names.size() > kShown ? text + " and " + std::to_string(names.size() - kShown) + " more" : text;
  };
  const auto tensors = trained_tensors(model, adaptation);
  for (const auto& [name, tensor] : tensors) {
    wanted.insert(name);
    if (!file.entries().contains(name)) missing.push_back(name);
  }
  for (const auto& [name, entry] : file.entries()) {
    if (!wanted.contains(name)) extra.push_back(name);
  }
  if (!missing.empty() || !extra.empty()) {
    throw ModelError(path.string() + ": does not fit the adapted modules" +
                     (missing.empty() ? "" : "; missing: " + list(missing)) +
                     (extra.empty() ? "" : "; not wanted: " + list(extra)));
  }
  // Every shape is checked before the first weight is written.
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor found = file.tensor(name);
    if (found.sizes() == tensor.sizes()) continue;
    throw ModelError(path.string() + ": tensor '" + name + "' is " + c10::str(found.sizes()) + "; wanted " +
                     c10::str(tensor.sizes()) + " (is the rank the same?)");
  }
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : tensors) values.push_back(file.tensor(name));
  put_trained_tensors(model, adaptation, values);
}

void load_peft_weights(const fs::path& directory, const LlamaForCausalLM& model, const Adaptation& adaptation,
                       const AdapterConfig& recipe) {
  const auto [config, base_model, task] = read_peft_config(directory);
  if (task == "SEQ_CLS" && !model.score) {
    throw ModelError(directory.string() + ": is a classifier's adapter; wanted one of a language model");
  }
  const Method &found = methods().at(config.method), &wanted = methods().at(recipe.method);
  if (found.peft_type != wanted.peft_type || found.peft_flags != wanted.peft_flags) {
    throw ModelError(directory.string() + ": an adapter of method " + config.method + "; the recipe has " +
                     recipe.method);
  }
  // A file's scaling is part of what its weights mean; tensors alone would not show a difference.
  if (config.use_rslora != recipe.use_rslora) {
    throw ModelError(directory.string() + ": 'use_rslora' is " + (config.use_rslora ? "true" : "false") +
                     "; the recipe has " + (recipe.use_rslora ? "true" : "false"));
  }
  for (const AdaptedModule& module : adaptation.modules) {
    const auto [path, rank, alpha] = adapter_target(module.path, config);
    if (config.method == "adalora" && rank < module.layer->rank()) {
      throw ModelError(directory.string() + ": '" + path + "' is pruned to rank " + std::to_string(rank) +
                       " already; wanted an AdaLoRA adapter with all of its ranks. lora-export --format lora makes a "
                       "LoRA adapter of it, to go on from with method lora");
    }
    if (alpha != module.layer->alpha()) {
      throw ModelError(directory.string() + ": alpha of '" + module.path + "' is " + std::to_string(alpha) +
                       "; the recipe has " + std::to_string(module.layer->alpha()));
    }
  }
  load_trained_tensors(directory / kWeightsFile, model, adaptation);
}

}  // namespace lora
