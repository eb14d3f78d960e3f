#include "lora/recipe/init_from.h"

#include <algorithm>
#include <utility>

#include "lora/adapters/peft.h"
#include "lora/adapters/registry.h"
#include "lora/recipe/paths.h"
#include "lora/recipe/recipe.h"
#include "models/base/error.h"

namespace lora {
namespace {

using Kind = YamlNode::Kind;

// "adapter" of a tree that names a file there; else null.
YamlNode* section_with_init_from(YamlNode& root) {
  const auto adapter = std::ranges::find(root.entries, "adapter", &YamlEntry::key);
  if (adapter == root.entries.end()) return nullptr;
  const YamlNode* from = adapter->value.find("init_from");
  return from && from->is(Kind::kScalar) && !from->text.empty() ? &adapter->value : nullptr;
}

// Everything in `node` is at `place`.
void put_at(YamlNode& node, const std::string& place) {
  node.where = place;
  for (YamlNode& item : node.items) put_at(item, place);
  for (YamlEntry& entry : node.entries) {
    entry.where = place;
    put_at(entry.value, place);
  }
}

std::vector<std::string> listed_texts(const YamlNode* list) {
  std::vector<std::string> texts;
  if (!list || !list->is(Kind::kList)) return texts;
  for (const YamlNode& item : list->items) texts.push_back(item.text);
  return texts;
}

}  // namespace

void adopt_init_from(YamlNode& root, const std::filesystem::path& recipe_directory) {
  YamlNode* section = section_with_init_from(root);
  if (!section) return;
  AdapterConfig config;
  try {
    const std::string directory = found_path(section->find("init_from")->text, recipe_directory);
    config = read_peft_config(directory, listed_texts(section->find("ignored_options"))).config;
  } catch (const Error&) {
    return;
  }
  if (find_method(config.method).finished) config.rank_pattern.clear();
  Problems none;
  YamlNode file = parse_document(to_yaml(config), {config.file, false}, none);
  put_at(file, config.file);
  for (YamlEntry& entry : file.entries) {
    if (entry.key == "init_from" || entry.key == "ignored_options") continue;
    const auto own = std::ranges::find(section->entries, entry.key, &YamlEntry::key);
    if (own == section->entries.end()) {
      section->entries.push_back(std::move(entry));
    } else if (own->value.unset) {
      own->value = std::move(entry.value);
    }
  }
}

}  // namespace lora
