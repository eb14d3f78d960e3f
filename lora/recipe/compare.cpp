// differing_keys, allowed_changes and preparation_text: recipes as lists of keys with their printed values.

#include <algorithm>
#include <array>
#include <string_view>

#include "lora/adapters/registry.h"
#include "lora/recipe/fields.h"
#include "lora/recipe/paths.h"

namespace lora {
namespace {

using KeysAndValues = std::vector<std::pair<std::string, std::string>>;

class Flattener {
 public:
  Flattener(KeysAndValues& out, std::string path) : out_(out), path_(std::move(path)) {}

  template <typename T, typename Rule>
  void value(const std::string& key, const T& member, const Rule& rule) {
    out_.emplace_back(path_ + key, print_value(member, rule));
  }
  template <typename T, typename Rule>
  void required(const std::string& key, const T& member, const Rule& rule) {
    value(key, member, rule);
  }
  template <typename Section>
  void section(const std::string& key, Section& member) {
    Flattener inner(out_, path_ + key + ".");
    describe(inner, member);
  }
  // A list is one value: otherwise an added entry would make every later one differ.
  template <typename Section>
  void sections(const std::string& key, std::vector<Section>& members) {
    std::string all;
    for (Section& member : members) {
      KeysAndValues one;
      Flattener inner(one, "");
      describe(inner, member);
      for (const auto& [inner_key, text] : one) all += inner_key + ": " + text + "\n";
    }
    out_.emplace_back(path_ + key, all);
  }

 private:
  KeysAndValues& out_;
  std::string path_;
};

KeysAndValues flatten(Recipe recipe) {
  KeysAndValues flat;
  Flattener flattener(flat, "");
  describe(flattener, recipe);
  return flat;
}

bool decides_what_is_trained(const std::string& key) {
  static constexpr std::array<std::string_view, 7> training = {
      "training.seed",    "training.objective", "training.batch_size", "training.max_length",
      "training.packing", "training.optimizer", "training.best_by"};
  if (key == "data.cache_dir" || key == "data.max_errors" || key == "model.device") return false;
  return key.starts_with("model.") || key.starts_with("adapter.") || key.starts_with("data.") ||
         key.starts_with("training.preference.") || std::ranges::find(training, key) != training.end();
}

// Calls visit(key, value of a, value of b, whether it decides what is trained) for every key that differs.
template <typename Visit>
void for_each_difference(const Recipe& a, const Recipe& b, const Visit& visit) {
  const KeysAndValues left = flatten(with_real_paths(a)), right = flatten(with_real_paths(b));
  for (size_t i = 0; i < left.size(); ++i) {
    const auto& [key, value] = left[i];
    if (value == right[i].second) continue;
    const bool length =
        find_method(a.adapter.method).follows_run_length && (key == "training.max_steps" || key == "training.epochs");
    visit(key, value, right[i].second, length || decides_what_is_trained(key));
  }
}

// Keys of the data section that decide which samples an epoch has or where they are stored, and not what they are.
bool decides_use_alone(const std::string& key) {
  return key == "shuffle" || key == "streaming" || key == "shuffle_buffer" || key == "cache_dir" ||
         key == "max_errors" || key.starts_with("mixing");
}

}  // namespace

std::vector<std::pair<std::string, std::string>> values_of(const Recipe& recipe) { return flatten(recipe); }

std::string preparation_text(const DataConfig& data) {
  DataConfig config = data;
  for (std::vector<DataSource>* list : {&config.train, &config.validation}) {
    for (DataSource& source : *list) source.weight = source.epochs = 1.0;
  }
  KeysAndValues flat;
  Flattener flattener(flat, "");
  describe(flattener, config);
  std::string text;
  for (const auto& [key, value] : flat) {
    if (!decides_use_alone(key)) text += key + ": " + value + "\n";
  }
  return text;
}

std::vector<std::string> differing_keys(const Recipe& a, const Recipe& b) {
  std::vector<std::string> keys;
  for_each_difference(a, b, [&](const std::string& key, const std::string&, const std::string&, bool decisive) {
    if (decisive) keys.push_back(key);
  });
  return keys;
}

std::vector<std::string> allowed_changes(const Recipe& before, const Recipe& now) {
  std::vector<std::string> changes;
  for_each_difference(
      before, now, [&](const std::string& key, const std::string& old, const std::string& fresh, bool decisive) {
        const bool has_part = key.starts_with("training.") || key.starts_with("evaluation.") || key == "model.device";
        if (decisive || !has_part) return;
        changes.push_back(key + ": " + old + " -> " + fresh);
      });
  return changes;
}

}  // namespace lora
