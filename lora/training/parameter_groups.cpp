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

std::string kind_of(ParameterRole role) {
  if (role == ParameterRole::kHead) return "head";
  return role == ParameterRole::kBase ? "base" : "adapter";
}

// A key may name the parameter itself, its module, or any module around it.
bool means(const std::string& key, const TrainedParameter& parameter) {
  if (key == kind_of(parameter.role)) return true;
  const std::string& path = parameter.path;
  for (size_t end = path.size(); end != std::string::npos && end > 0; end = path.rfind('.', end - 1)) {
    if (is_name_or_suffix(path.substr(0, end), key)) return true;
  }
  return false;
}

std::vector<std::string> known_names(const std::vector<TrainedParameter>& parameters) {
  std::set<std::string> names = {"adapter", "head", "base"};
  for (const auto& [path, tensor, role] : parameters) {
    for (size_t begin = 0; begin < path.size();) {
      const size_t dot = std::min(path.find('.', begin), path.size());
      names.insert(path.substr(begin, dot - begin));
      begin = dot + 1;
    }
  }
  return {names.begin(), names.end()};
}

bool has_loraplus_rate(const TrainedParameter& parameter) {
  return parameter.role == ParameterRole::kB || parameter.tensor.dim() == 1;
}

// A group while its parameters are sorted.
struct Sorted {
  std::string name;
  double learning_rate;
  std::vector<TrainedParameter> parameters;
};

std::vector<Sorted> split_by_loraplus(std::vector<Sorted> groups, double ratio) {
  char suffix[32];
  std::snprintf(suffix, sizeof suffix, " × %g", ratio);
  std::vector<Sorted> split;
  for (Sorted& group : groups) {
    Sorted fast{group.name + suffix, group.learning_rate * ratio, {}};
    auto& parameters = group.parameters;
    const auto rest = std::stable_partition(parameters.begin(), parameters.end(), std::not_fn(has_loraplus_rate));
    fast.parameters.assign(rest, parameters.end());
    parameters.erase(rest, parameters.end());
    if (!group.parameters.empty()) split.push_back(std::move(group));
    if (!fast.parameters.empty()) split.push_back(std::move(fast));
  }
  return split;
}

}  // namespace

std::vector<ParameterGroup> make_parameter_groups(const std::vector<TrainedParameter>& parameters,
                                                  const TrainingConfig& config) {
  std::vector<Sorted> groups;
  for (const auto& [key, rate] : config.learning_rates) groups.push_back({key, rate, {}});
  groups.push_back({"", config.learning_rate, {}});
  for (const TrainedParameter& parameter : parameters) {
    const auto group =
        std::ranges::find_if(groups, [&](const Sorted& one) { return one.name.empty() || means(one.name, parameter); });
    group->parameters.push_back(parameter);
  }
  for (size_t i = 0; i < config.learning_rates.size(); ++i) {
    const std::string& key = groups[i].name;
    if (!groups[i].parameters.empty()) continue;
    throw Error(ExitCode::kRecipe, "training",
                "learning_rates: '" + key + "' means no trained parameter that an earlier key does not take" +
                    did_you_mean(key, known_names(parameters)) + "; expected adapter, head, base or a module's name");
  }
  Sorted& rest = groups.back();
  if (rest.parameters.empty()) {
    groups.pop_back();
  } else {
    rest.name = kind_of(rest.parameters.front().role);
  }
  if (config.loraplus_lr_ratio != 1.0) groups = split_by_loraplus(std::move(groups), config.loraplus_lr_ratio);
  std::vector<ParameterGroup> made;
  for (const Sorted& group : groups) {
    ParameterGroup& last = made.emplace_back(ParameterGroup{group.name, group.learning_rate, {}});
    for (const auto& [path, tensor, role] : group.parameters) last.parameters.emplace_back(path, tensor);
  }
  return made;
}

}  // namespace lora
