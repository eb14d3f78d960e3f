#include "lora/recipe/modules.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/inject.h"
#include "lora/adapters/peft.h"
#include "lora/adapters/registry.h"
#include "lora/quantization/quantizer.h"
#include "models/base/error.h"
#include "models/network/pretrained.h"

namespace lora {
namespace {

// Keys of `adapter` that decide which modules are meant.
constexpr std::array kMatchingKeys = {"method",          "target_modules",      "exclude_modules",
                                      "modules_to_save", "layers_to_transform", "layers_pattern",
                                      "rank_pattern",    "alpha_pattern",       "init_from"};

// The network of shapes alone; null where config.json does not give one.
std::shared_ptr<LlamaForCausalLM> shapes_of(const ModelSection& section) {
  // How many labels a classifier has is in the data, and means nothing here.
  const LabelNames labels = section.head == Head::kNone ? LabelNames{} : LabelNames{"0", "1"};
  try {
    return make_meta(section.path, section.dtype, labels,
                     make_quantizer({section.quantization, section.double_quantization}));
  } catch (const Error&) {
    return nullptr;
  }
}

const YamlNode* adapter_key(const YamlNode& root, const std::string& key) {
  const YamlNode* section = root.find("adapter");
  return section ? section->find(key) : nullptr;
}

// Where one pattern of a key was written.
std::string place_of_pattern(const YamlNode& root, const UnmatchedPattern& unmatched) {
  if (const YamlNode* node = adapter_key(root, unmatched.key)) {
    const auto item = std::ranges::find(node->items, unmatched.pattern, &YamlNode::text);
    if (item != node->items.end()) return item->where;
    const auto entry = std::ranges::find(node->entries, unmatched.pattern, &YamlEntry::key);
    if (entry != node->entries.end()) return entry->where;
  }
  return place_of(root, "adapter." + unmatched.key);
}

// Whether the pattern came from the adapter's file, which may list the modules of other models too.
bool is_of_file(const YamlNode& root, const Recipe& recipe, const std::string& place) {
  const YamlNode* from = adapter_key(root, "init_from");
  return from && place == (std::filesystem::path(recipe.adapter.init_from) / kPeftConfigFile).string();
}

void leave_out(AdapterConfig& adapter, const UnmatchedPattern& unmatched) {
  const auto is_it = [&](const auto& entry) { return entry.first == unmatched.pattern; };
  if (unmatched.key == "rank_pattern") {
    std::erase_if(adapter.rank_pattern, is_it);
  } else if (unmatched.key == "alpha_pattern") {
    std::erase_if(adapter.alpha_pattern, is_it);
  } else if (unmatched.key == "modules_to_save") {
    std::erase(adapter.modules_to_save, unmatched.pattern);
  } else if (unmatched.key == "layers_to_transform") {
    std::erase(adapter.layers_to_transform, std::stoll(unmatched.pattern));
  } else {
    ModulePatterns& patterns = unmatched.key == "target_modules" ? adapter.target_modules : adapter.exclude_modules;
    if (auto* list = std::get_if<std::vector<std::string>>(&patterns)) std::erase(*list, unmatched.pattern);
  }
}

// An error of the adapter's room, whose text begins with the key or with what it is about, at the place of that key.
void note_adapter_error(const AdapterError& error, const YamlNode& root, Problems& problems) {
  const std::string text = without_component(error);
  const std::string key = text.substr(0, text.find_first_of(": "));
  const std::string path = adapter_key(root, key) ? "adapter." + key : "adapter";
  const bool is_key = text.starts_with(key + ":");
  problems.add(RecipeError(place_of(root, path) + ": " + (is_key ? "adapter." : "") + text));
}

}  // namespace

void check_modules(Recipe& recipe, const YamlNode& root, Problems& problems) {
  AdapterConfig& adapter = recipe.adapter;
  if (problems.is_spoiled("model.path") || find_method(adapter.method).trains_network) return;
  for (const char* key : kMatchingKeys) {
    if (problems.is_spoiled(std::string("adapter.") + key)) return;
  }
  // check_recipe() says what is wrong with these.
  const bool lists_targets = std::holds_alternative<std::vector<std::string>>(adapter.target_modules);
  if (!adapter.layers_to_transform.empty() && !lists_targets) return;
  if (!adapter.layers_pattern.empty() && adapter.layers_to_transform.empty()) return;
  const auto model = shapes_of(recipe.model);
  if (!model) return;
  try {
    for (const UnmatchedPattern& unmatched : unmatched_patterns(*model, adapter)) {
      const std::string place = place_of_pattern(root, unmatched);
      if (is_of_file(root, recipe, place)) {
        leave_out(adapter, unmatched);
      } else {
        problems.add(RecipeError(place + ": adapter." + unmatched.problem));
      }
    }
    // The shapes of an adapter that is continued are in its file.
    if (problems.empty() && adapter.init_from.empty()) inject(model, adapter, recipe.training.seed, /*fresh=*/false);
  } catch (const AdapterError& error) {
    note_adapter_error(error, root, problems);
  }
}

bool mean_same_modules(const Recipe& a, const Recipe& b) {
  const auto model = shapes_of(a.model);
  if (!model || find_method(a.adapter.method).trains_network || find_method(b.adapter.method).trains_network)
    return false;
  try {
    return meant_paths(*model, a.adapter) == meant_paths(*model, b.adapter);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace lora
