#include "lora/adapters/matcher.h"

#include <algorithm>
#include <optional>
#include <set>

#include "lora/adapters/regex.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {
namespace {

// "q_prj" is to be helped with "q_proj", not with a whole path.
std::vector<std::string> last_components(const std::vector<ModulePath>& modules) {
  std::set<std::string> names;
  for (const ModulePath& module : modules) names.insert(module.path.substr(module.path.rfind('.') + 1));
  return {names.begin(), names.end()};
}

// `modules` are those that the pattern could match, which `whose` names.
std::string no_match(const std::string& key, const std::string& pattern, const std::vector<ModulePath>& modules,
                     const std::string& whose) {
  std::string linears;
  std::set<std::string> seen;
  for (const ModulePath& module : modules) {
    const std::string name = module.path.substr(module.path.rfind('.') + 1);
    if (module.linear && seen.insert(name).second) linears += (linears.empty() ? "" : ", ") + name;
  }
  const std::string last = pattern.substr(pattern.rfind('.') + 1);
  return key + ": '" + pattern + "' matches no module" + did_you_mean(last, last_components(modules)) + "; " + whose +
         " linear layers are " + linears;
}

// A layer's index as PEFT finds it: the first numbered part with something behind it, after one that is called as
// layers_pattern says or, where that is empty, after any but the first.
std::optional<int64_t> layer_index(const std::string& path, const std::vector<std::string>& patterns) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t dot = std::min(path.find('.', begin), path.size());
    parts.push_back(path.substr(begin, dot - begin));
    begin = dot + 1;
  }
  for (size_t i = patterns.empty() ? 2 : 1; i + 1 < parts.size(); ++i) {
    if (!patterns.empty() && std::ranges::count(patterns, parts[i - 1]) == 0) continue;
    if (!parts[i].empty() && parts[i].size() < 10 &&
        std::ranges::all_of(parts[i], [](char c) { return c >= '0' && c <= '9'; })) {
      return std::stoll(parts[i]);
    }
  }
  return {};
}

Regex regex_of(const std::string& key, const std::string& pattern) {
  try {
    return Regex(pattern);
  } catch (const AdapterError& error) {
    throw AdapterError(key + ": " + without_component(error));
  }
}

// One of target_modules / exclude_modules, remembering which of its entries matched something.
class PatternSet {
 public:
  // `means`: whether an entry of a list means a path.
  PatternSet(std::string key, ModulePatterns patterns,
             bool (*means)(const std::string& path, const std::string& name) = is_name_or_suffix)
      : key_(std::move(key)), patterns_(std::move(patterns)), means_(means) {
    if (const auto* regex = std::get_if<std::string>(&patterns_)) {
      if (!regex->empty()) regex_.emplace(regex_of(key_, *regex));
    }
  }

  bool matches(const ModulePath& module) {
    if (const auto* list = std::get_if<std::vector<std::string>>(&patterns_)) {
      bool any = false;
      for (const std::string& name : *list) {
        if (!means_(module.path, name)) continue;
        used_.insert(name);
        any = true;
      }
      return any;
    }
    if (regex_) {
      const bool hit = regex_->full_match(module.path);
      if (hit) used_.insert(std::get<std::string>(patterns_));
      return hit;
    }
    return std::holds_alternative<AllLinear>(patterns_) && module.linear && !module.output_head;
  }

  void expect_all_used(const std::vector<ModulePath>& modules, std::vector<UnmatchedPattern>& unmatched) const {
    if (const auto* list = std::get_if<std::vector<std::string>>(&patterns_)) {
      for (const std::string& name : *list) {
        if (!used_.contains(name)) unmatched.push_back({key_, name, no_match(key_, name, modules, "this model's")});
      }
    } else if (regex_ && used_.empty()) {
      const auto& pattern = std::get<std::string>(patterns_);
      unmatched.push_back({key_, pattern, no_match(key_, pattern, modules, "this model's")});
    }
  }

  bool is_list() const { return std::holds_alternative<std::vector<std::string>>(patterns_); }
  bool names_whole_path(const std::string& path) const {
    const auto* list = std::get_if<std::vector<std::string>>(&patterns_);
    return list && std::ranges::count(*list, path) > 0;
  }

 private:
  std::string key_;
  ModulePatterns patterns_;
  bool (*means_)(const std::string& path, const std::string& name);
  std::optional<Regex> regex_;
  std::set<std::string> used_;
};

// rank_pattern or alpha_pattern: PEFT's re.match((.*\.)?(key)$), first entry wins.
template <typename T>
class ValuePattern {
 public:
  ValuePattern(std::string key, const std::vector<std::pair<std::string, T>>& entries) : key_(std::move(key)) {
    for (const auto& [pattern, value] : entries) {
      entries_.push_back({pattern, regex_of(key_, "(.*\\.)?(" + pattern + ")"), value, false});
    }
  }

  T value_for(const std::string& path, T fallback) {
    std::optional<T> value;
    for (Entry& entry : entries_) {
      if (!entry.regex.full_match(path)) continue;
      entry.used = true;
      if (!value) value = entry.value;
    }
    return value.value_or(fallback);
  }

  void expect_all_used(const std::vector<ModulePath>& adapted, std::vector<UnmatchedPattern>& unmatched) const {
    for (const Entry& entry : entries_) {
      if (entry.used) continue;
      unmatched.push_back({key_, entry.pattern, no_match(key_, entry.pattern, adapted, "the adapted")});
    }
  }

 private:
  struct Entry {
    std::string pattern;
    Regex regex;
    T value;
    bool used;
  };
  std::string key_;
  std::vector<Entry> entries_;
};

struct Matching {
  ModuleMatch match;
  std::vector<UnmatchedPattern> unmatched;
};

Matching matching(const std::vector<ModulePath>& modules, const AdapterConfig& config) {
  PatternSet excluded("exclude_modules", config.exclude_modules), targets("target_modules", config.target_modules);
  PatternSet saved("modules_to_save", config.modules_to_save, is_saved_by);
  const std::set<int64_t> layers(config.layers_to_transform.begin(), config.layers_to_transform.end());
  if (!layers.empty() && !targets.is_list()) {
    throw AdapterError(
        "layers_to_transform: expected with a list of target_modules only; name the layers in the expression instead");
  }

  ModuleMatch match;
  for (const ModulePath& module : modules) {
    if (saved.matches(module)) match.saved_modules.push_back(module.path);
  }

  ValuePattern<int64_t> ranks("rank_pattern", config.rank_pattern);
  ValuePattern<double> alphas("alpha_pattern", config.alpha_pattern);
  std::set<int64_t> layers_seen;
  std::vector<ModulePath> adapted;
  for (const ModulePath& module : modules) {
    const bool target = targets.matches(module);
    if (excluded.matches(module)) continue;
    const bool saved_whole = std::ranges::any_of(match.saved_modules, [&](const std::string& path) {
      return module.path == path || module.path.starts_with(path + ".");
    });
    if (!target || saved_whole) continue;
    if (!layers.empty() && !targets.names_whole_path(module.path)) {
      const auto index = layer_index(module.path, config.layers_pattern);
      if (!index || !layers.contains(*index)) continue;
      layers_seen.insert(*index);
    }
    if (!module.linear && !module.embedding) {
      throw AdapterError("target_modules: '" + module.path +
                         "' is not a linear layer or an embedding; an adapter needs one");
    }
    match.targets.push_back(
        {module.path, ranks.value_for(module.path, config.rank), alphas.value_for(module.path, config.alpha)});
    adapted.push_back(module);
  }

  if (layers.empty() && !config.layers_pattern.empty()) {
    throw AdapterError("layers_pattern: expected with layers_to_transform only, whose layers it names");
  }
  std::vector<UnmatchedPattern> unmatched;
  targets.expect_all_used(modules, unmatched);
  excluded.expect_all_used(modules, unmatched);
  saved.expect_all_used(modules, unmatched);
  for (int64_t layer : layers) {
    if (!layers_seen.contains(layer)) {
      const std::string number = std::to_string(layer);
      unmatched.push_back({"layers_to_transform", number,
                           "layers_to_transform: layer " + number + " has no module that target_modules means"});
    }
  }
  // Where nothing is adapted, another pattern is wrong, and these may be right.
  if (!adapted.empty()) {
    ranks.expect_all_used(adapted, unmatched);
    alphas.expect_all_used(adapted, unmatched);
  }
  return {std::move(match), std::move(unmatched)};
}

}  // namespace

bool is_name_or_suffix(const std::string& path, const std::string& name) {
  return path == name ||
         (path.size() > name.size() && path.ends_with(name) && path[path.size() - name.size() - 1] == '.');
}

bool is_saved_by(const std::string& path, const std::string& name) { return path.ends_with(name); }

AdapterTarget adapter_target(const std::string& path, const AdapterConfig& config) {
  return {path, ValuePattern<int64_t>("rank_pattern", config.rank_pattern).value_for(path, config.rank),
          ValuePattern<double>("alpha_pattern", config.alpha_pattern).value_for(path, config.alpha)};
}

ModuleMatch match_modules(const std::vector<ModulePath>& modules, const AdapterConfig& config) {
  auto [match, unmatched] = matching(modules, config);
  std::string problems;  // a line each
  for (const UnmatchedPattern& one : unmatched) {
    problems += (problems.empty() ? "" : "\n[adapter] ") + one.problem;
    match.notes.push_back(one.key + ": " + one.pattern);
  }
  if (config.file.empty() && !problems.empty()) throw AdapterError(problems);
  if (match.targets.empty()) {
    throw AdapterError(match.notes.empty()
                           ? "target_modules: every module that matches is excluded or saved whole; nothing is left "
                             "to adapt"
                           : "nothing to adapt: no module is meant by " + listed(match.notes, match.notes.size()));
  }
  return match;
}

std::vector<UnmatchedPattern> unmatched_patterns(const std::vector<ModulePath>& modules, const AdapterConfig& config) {
  return matching(modules, config).unmatched;
}

}  // namespace lora
