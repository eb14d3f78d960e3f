// adapter_config.json: a recipe's adapter in PEFT's words, and back.

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "lora/adapters/initialise.h"
#include "lora/adapters/peft.h"
#include "lora/adapters/registry.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;  // of a file's patterns the first that matches counts

// PEFT resolves all-linear when it saves, so that the file means the same whatever loads it.
ordered_json target_names(const ModulePatterns& patterns, const AdaptedModel& adapted) {
  if (const auto* list = std::get_if<std::vector<std::string>>(&patterns)) return *list;
  if (const auto* regex = std::get_if<std::string>(&patterns)) return *regex;
  std::set<std::string> names;
  for (const AdaptedModule& module : adapted.modules) names.insert(module.path.substr(module.path.rfind('.') + 1));
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

ModulePatterns parse_patterns(const ordered_json& value) {
  if (value.is_null()) return std::vector<std::string>{};
  if (value == "all-linear") return AllLinear{};
  if (value.is_string()) return value.get<std::string>();
  return value.get<std::vector<std::string>>();
}

// Keys that say nothing of the result: where the file comes from, how PEFT was to begin, what only a method reads that
// is refused by another key, how others trained it (ms-swift's lora_dtype and its LoRA+ rates) or ran it (merge_weights
// of PEFT's first versions).
bool is_informative(const std::string& key) {
  static const std::set<std::string> keys = {
      "auto_mapping", "base_model_name_or_path", "inference_mode", "peft_type", "task_type", "revision", "peft_version",
      "loftq_config", "runtime_config", "qalora_group_size", "eva_config", "megatron_core", "corda_config",
      "lora_ga_config",
      // of other programs
      "lora_dtype", "lorap_lr_ratio", "lorap_emb_lr", "merge_weights", "torch_dtype", "transformers_version"};
  return keys.contains(key);
}

// PEFT's "off", for options of which nothing else is known.
bool is_off(const ordered_json& value) {
  return value.is_null() || value == false || value == "none" ||
         ((value.is_array() || value.is_object()) && value.empty());
}

// What an option that is not supported would do.
std::string meaning_of(const std::string& key) {
  static const std::map<std::string, std::string> meanings = {
      {"alora_invocation_tokens", "the adapter is to act from certain tokens on only"},
      {"arrow_config", "it routes between several adapters"},
      {"kasa_config", "it changes the base's weights"},
      {"layer_replication", "it repeats layers of the base"},
      {"megatron_config", "it is for Megatron's parallel layers"},
      {"monteclora_config", "it samples around the adapter"},
      {"target_parameters",
       "it adapts parameters that do not belong to a linear layer; name the layers in target_modules"},
      {"use_bdlora", "A or B is block-diagonal"},
      {"use_qalora", "A reads pooled inputs"},
      {"velora_config", "it has a backward pass of its own"}};
  const auto found = meanings.find(key);
  return found == meanings.end() ? "" : ": " + found->second;
}

// The method that the file's peft_type and flags say; takes the flags out of it.
std::string take_method(ordered_json& file, const fs::path& path) {
  const std::string type = file.value("peft_type", "");
  std::set<std::string> types, set;
  for (const Method& method : methods()) {
    if (method.trains_network) continue;
    types.insert(method.peft_type);
    for (const std::string& flag : method.peft_flags) {
      if (file.value(flag, ordered_json()) == true) set.insert(flag);
    }
  }
  for (const Method& method : methods()) {
    if (method.trains_network || method.resolve) continue;
    if (method.peft_type != type || std::set(method.peft_flags.begin(), method.peft_flags.end()) != set) continue;
    for (const std::string& flag : set) file.erase(flag);
    return method.name;
  }
  if (file.contains("lora_parameters") || file.contains("fine_tune_type")) refuse_mlx_adapter(path.parent_path());
  if (!types.contains(type))
    throw ModelError(path.string() + ": 'peft_type' is '" + type + "'; supported is " +
                     joined({types.begin(), types.end()}));
  throw ModelError(path.string() + ": " + joined({set.begin(), set.end()}) + " together are not supported");
}

// What a file says of how the pair began. One that came out of the base is saved as a whole update and begins nowhere.
ordered_json start_in_file(const AdapterConfig& config) {
  for (const InitialPairRow& row : initial_pairs()) {
    if (row.name == config.init && row.in_files && !row.starts_from_base) return row.name;
  }
  return true;
}

std::string init_of(const ordered_json& value, const fs::path& path) {
  for (const InitialPairRow& row : initial_pairs()) {
    if (row.in_files && value == row.name) return row.name;
  }
  // How others begin is past once they are trained, where the base stays as it was.
  static const std::set<std::string> beginnings = {"eva", "orthogonal", "mica"};
  if (value.is_null() || value.is_boolean() || (value.is_string() && beginnings.contains(value.get<std::string>()))) {
    return "kaiming";
  }
  static const std::set<std::string> of_changed_base = {"corda", "lora_ga", "loftq"};
  if (value.is_string() &&
      (of_changed_base.contains(value.get<std::string>()) || starts_from_base(value.get<std::string>()))) {
    throw ModelError(
        path.string() + ": 'init_lora_weights' is " + value.dump() +
        ": the weights fit a base that PEFT changed by what is not in the file; expected is an adapter of the "
        "base as it is, which PEFT saves with path_initial_model_for_weight_conversion");
  }
  throw ModelError(path.string() + ": 'init_lora_weights' is " + value.dump() + ", which is not supported");
}

// A list is of the input embedding's rows, and so is a map that names it alone.
std::vector<int64_t> token_indices(const ordered_json& value, const fs::path& path) {
  if (value.is_null()) return {};
  if (value.is_array()) return integers_of(value);
  std::vector<int64_t> indices;
  for (const auto& item : value.items()) {
    const std::string& name = item.key();
    if (name != "embed_tokens" && !name.ends_with(".embed_tokens")) {
      throw ModelError(path.string() + ": 'trainable_token_indices' has rows of '" + name +
                       "'; supported are those of embed_tokens, and of a head that is tied to it (modules_to_save: "
                       "[lm_head] trains a whole head)");
    }
    indices = integers_of(item.value());
  }
  return indices;
}

template <typename T>
ordered_json list_or_null(const std::vector<T>& list) {
  return list.empty() ? ordered_json() : ordered_json(list);
}

}  // namespace

std::string peft_config_text(const AdaptedModel& adapted, const std::string& base_model) {
  const AdapterConfig& config = adapted.config;
  const Method& method = find_method(config.method);
  // A pair that came out of the base is saved as plain LoRA of twice the rank, at the same scaling.
  const bool doubled = starts_from_base(config);
  const int64_t ranks = doubled ? 2 : 1;
  const double alphas = !doubled ? 1 : config.use_rslora ? std::sqrt(2.0) : 2;
  ordered_json file = {
      {"peft_type", method.peft_type},
      {"task_type", task_type(*adapted.model)},
      {"base_model_name_or_path", base_model},
      {"revision", nullptr},
      {"inference_mode", true},
      {"r", ranks * config.rank},
      {"lora_alpha", alphas * config.alpha},
      {"lora_dropout", config.dropout},
      {"target_modules", target_names(config.target_modules, adapted)},
      {"exclude_modules", list_or_null(config.exclude_modules)},
      {"layers_to_transform", list_or_null(config.layers_to_transform)},
      {"layers_pattern", list_or_null(config.layers_pattern)},
      {"rank_pattern", pattern_object(config.rank_pattern, ranks)},
      {"alpha_pattern", pattern_object(config.alpha_pattern, alphas)},
      {"modules_to_save", list_or_null(modules_to_save(*adapted.model, config))},
      {"trainable_token_indices", list_or_null(config.trainable_token_indices)},
      {"bias", name_of(config.bias)},
      {"lora_bias", config.lora_bias},
      {"fan_in_fan_out", false},
      {"init_lora_weights", start_in_file(config)},
      {"use_rslora", config.use_rslora},
      {"use_dora", false},
      // Where there is nothing to tie PEFT warns of the wish.
      {"ensure_weight_tying", ties_head(adapted)},
  };
  for (const std::string& flag : method.peft_flags) file[flag] = true;
  if (method.write_config) method.write_config(file, adapted);
  return file.dump(2) + "\n";
}

namespace {

void expect_rank(const fs::path& path, const std::string& key, int64_t rank, int64_t least) {
  constexpr int64_t kMostRank = 1 << 16;  // beyond any adapter there is
  if (rank >= least && rank <= kMostRank) return;
  throw ModelError(path.string() + ": '" + key + "' is " + std::to_string(rank) + "; expected " +
                   std::to_string(least) + " to " + std::to_string(kMostRank));
}

void expect_token(const fs::path& path, int64_t id) {
  if (id >= 0 && id < kMostTokens) return;
  throw ModelError(path.string() + ": 'trainable_token_indices' has " + std::to_string(id) +
                   "; expected ids of tokens, below " + std::to_string(kMostTokens));
}

void expect_alpha(const fs::path& path, const std::string& key, double alpha) {
  if (std::isfinite(static_cast<float>(alpha))) return;
  throw ModelError(path.string() + ": '" + key + "' is " + ordered_json(alpha).dump() +
                   "; expected a number that float32 holds");
}

}  // namespace

PeftAdapter read_peft_config(const fs::path& directory, const std::vector<std::string>& ignored) {
  const fs::path path = directory / kPeftConfigFile;
  std::error_code error;
  if (!fs::exists(path, error) && !error) {
    throw ModelError(directory.string() + ": no " + kPeftConfigFile + "; expected a PEFT adapter directory");
  }
  PeftAdapter adapter;
  adapter.config.file = path.string();
  adapter.config.ignored_options = ignored;
  std::string key_read;  // last
  try {
    ordered_json file = parse_json<ordered_json>(read_file(path));
    adapter.config.method = take_method(file, path);
    if (file.contains("base_model_name_or_path") && file["base_model_name_or_path"].is_string()) {
      adapter.base_model = file["base_model_name_or_path"];
    }
    if (const ordered_json task = file.value("task_type", ordered_json()); task.is_string()) adapter.task_type = task;
    AdapterConfig& config = adapter.config;
    const Method& method = find_method(config.method);
    const auto take = [&](const char* key) {
      key_read = key;
      const ordered_json value = file.value(key, ordered_json());
      file.erase(key);
      return value;
    };
    const auto take_number = [&](const char* key, double fallback) {
      const ordered_json value = take(key);
      return value.is_null() ? fallback : value.get<double>();
    };
    const auto take_flag = [&](const char* key) {
      const ordered_json value = take(key);
      return !value.is_null() && value.get<bool>();
    };
    if (method.take_config) {
      method.take_config(file, config);
    } else {
      const ordered_json rank = take("r");
      config.rank = rank.is_null() ? 8 : integer_of(rank);
    }
    if (file.contains("lora_alpha") && file["lora_alpha"].is_null()) {
      throw ModelError(path.string() + ": 'lora_alpha' is null; expected a number");
    }
    config.alpha = take_number("lora_alpha", 8);
    config.dropout = take_number("lora_dropout", 0);
    if (!(config.dropout >= 0 && config.dropout <= 1)) {
      throw ModelError(path.string() + ": 'lora_dropout' is " + ordered_json(config.dropout).dump() +
                       "; expected a number from 0 to 1");
    }
    config.target_modules = parse_patterns(take("target_modules"));
    config.exclude_modules = parse_patterns(take("exclude_modules"));
    const auto as_list = [](const ordered_json& value) {
      return value.is_array() ? value : ordered_json::array({value});
    };
    if (const ordered_json layers = take("layers_to_transform"); !layers.is_null()) {
      config.layers_to_transform = integers_of(as_list(layers));
    }
    if (const ordered_json pattern = take("layers_pattern"); !pattern.is_null()) {
      config.layers_pattern = as_list(pattern).get<std::vector<std::string>>();
    }
    if (config.layers_to_transform.empty()) config.layers_pattern.clear();
    const ordered_json ranks = take("rank_pattern");
    for (const auto& item : ranks.items()) config.rank_pattern.emplace_back(item.key(), integer_of(item.value()));
    const ordered_json alphas = take("alpha_pattern");
    for (const auto& item : alphas.items()) config.alpha_pattern.emplace_back(item.key(), item.value());
    if (const ordered_json saved = take("modules_to_save"); !saved.is_null()) config.modules_to_save = saved;
    // PEFT lists the heads of every family there.
    if (adapter.task_type == "SEQ_CLS") {
      std::erase_if(config.modules_to_save,
                    [](const std::string& name) { return name == "score" || name == "classifier"; });
    }
    config.use_rslora = take_flag("use_rslora");
    config.lora_bias = take_flag("lora_bias");
    config.ensure_weight_tying = take_flag("ensure_weight_tying");
    take_flag("fan_in_fan_out");  // of GPT-2's transposed layers; at a Linear PEFT takes it back
    config.trainable_token_indices = token_indices(take("trainable_token_indices"), path);
    for (const int64_t id : config.trainable_token_indices) expect_token(path, id);
    config.init = init_of(take("init_lora_weights"), path);
    if (starts_from_base(config) && !method.starts_from_base) {
      throw ModelError(path.string() + ": 'init_lora_weights' is " + config.init + " with method " + config.method +
                       "; supported is it with plain LoRA, and with others once PEFT has converted it");
    }
    if (const ordered_json bias = take("bias"); !bias.is_null()) {
      const std::optional<Bias> known = value_of<Bias>(bias);
      if (!known) {
        throw ModelError(path.string() + ": 'bias' is '" + bias.get<std::string>() + "'; expected one of " +
                         joined(names_of(Bias{}).known));
      }
      config.bias = *known;
    }
    for (const auto& item : file.items()) {
      if (is_informative(item.key()) || is_off(item.value())) continue;
      const std::string meaning = meaning_of(item.key());
      if (meaning.empty() && std::ranges::count(ignored, item.key()) > 0) continue;
      throw ModelError(path.string() + ": option '" + item.key() + "' is " + item.value().dump() +
                       ", which is not supported" +
                       (meaning.empty() ? "; if it changes nothing, pass --ignore-option " + item.key() +
                                              ", in a recipe with adapter.ignored_options"
                                        : meaning));
    }
    expect_rank(path, "r", config.rank, 1);
    expect_alpha(path, "lora_alpha", config.alpha);
    for (const auto& [pattern, alpha] : config.alpha_pattern) expect_alpha(path, "alpha_pattern." + pattern, alpha);
    // AdaLoRA prunes modules to rank 0.
    for (const auto& [pattern, rank] : config.rank_pattern) expect_rank(path, "rank_pattern." + pattern, rank, 0);
  } catch (const ordered_json::exception& e) {
    throw ModelError(path.string() + ": not a PEFT adapter_config.json: " +
                     (key_read.empty() ? "" : "'" + key_read + "': ") + e.what());
  }
  return adapter;
}

}  // namespace lora
