#include "lora/training/parameter_groups.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>

#include "lora/adapters/matcher.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {
namespace {

std::string kind_of(const std::string& parameter) {
  if (parameter.find(".lora_") != std::string::npos || parameter.ends_with(".trainable_tokens_delta")) return "adapter";
  return parameter.starts_with("lm_head.") || parameter.starts_with("score.") ? "head" : "base";
}

// A key may name the parameter itself, its module, or any module around it.
bool means(const std::string& key, const std::string& parameter) {
  if (key == kind_of(parameter)) return true;
  for (size_t end = parameter.size(); end != std::string::npos && end > 0; end = parameter.rfind('.', end - 1)) {
    if (is_name_or_suffix(parameter.substr(0, end), key)) return true;
  }
  return false;
}

std::vector<std::string> known_names(const std::vector<std::pair<std::string, at::Tensor>>& parameters) {
  std::set<std::string> names = {"adapter", "head", "base"};
  for (const auto& [path, tensor] : parameters) {
    for (size_t begin = 0; begin < path.size();) {
      const size_t dot = std::min(path.find('.', begin), path.size());
      names.insert(path.substr(begin, dot - begin));
      begin = dot + 1;
    }
  }
  return {names.begin(), names.end()};
}

bool has_loraplus_rate(const std::pair<std::string, at::Tensor>& parameter) {
  return parameter.first.ends_with(".lora_B") || parameter.second.dim() == 1;
}

std::vector<ParameterGroup> split_by_loraplus(std::vector<ParameterGroup> groups, double ratio) {
  char suffix[32];
  std::snprintf(suffix, sizeof suffix, " × %g", ratio);
  std::vector<ParameterGroup> split;
  for (ParameterGroup& group : groups) {
    ParameterGroup fast{group.name + suffix, group.learning_rate * ratio, {}};
    const auto rest = std::ranges::stable_partition(group.parameters, std::not_fn(has_loraplus_rate));
    fast.parameters.assign(rest.begin(), rest.end());
    group.parameters.erase(rest.begin(), rest.end());
    if (!group.parameters.empty()) split.push_back(std::move(group));
    if (!fast.parameters.empty()) split.push_back(std::move(fast));
  }
  return split;
}

}  // namespace

std::vector<ParameterGroup> make_parameter_groups(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                                                  const TrainingConfig& config) {
  std::vector<ParameterGroup> groups;
  for (const auto& [key, rate] : config.learning_rates) groups.push_back({key, rate, {}});
  groups.push_back({"", config.learning_rate, {}});
  for (const auto& [path, tensor] : parameters) {
    const auto group = std::ranges::find_if(
        groups, [&, &name = path](const ParameterGroup& g) { return g.name.empty() || means(g.name, name); });
    group->parameters.emplace_back(path, tensor);
  }
  for (size_t i = 0; i < config.learning_rates.size(); ++i) {
    const std::string& key = groups[i].name;
    if (!groups[i].parameters.empty()) continue;
    throw Error(ExitCode::kRecipe, "training",
                "learning_rates: '" + key + "' means no trained parameter that an earlier key does not take" +
                    did_you_mean(key, known_names(parameters)) + "; wanted adapter, head, base or a module's name");
  }
  ParameterGroup& rest = groups.back();
  if (rest.parameters.empty()) {
    groups.pop_back();
  } else {
    rest.name = kind_of(rest.parameters.front().first);
  }
  return config.loraplus_lr_ratio == 1.0 ? groups : split_by_loraplus(std::move(groups), config.loraplus_lr_ratio);
}

}  // namespace lora
