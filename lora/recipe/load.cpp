// load_recipe, load_recipes: file -> tree -> overrides -> structs -> checks.

#include <algorithm>
#include <fstream>
#include <system_error>

#include "lora/adapters/registry.h"
#include "lora/recipe/adapters_list.h"
#include "lora/recipe/checks.h"
#include "lora/recipe/document.h"
#include "lora/recipe/fields.h"
#include "lora/recipe/keys.h"
#include "models/base/error.h"

namespace lora {
namespace {

// Fills the structs from a map of the tree; a null map has no keys.
class Reader {
 public:
  // `where` and `path` are the section's own; `schema` is its name in known_keys().
  Reader(const YamlNode* map, std::string where, std::string path, std::string schema)
      : map_(map), where_(std::move(where)), path_(std::move(path)), schema_(std::move(schema)) {
    if (!map_) return;
    const auto& known = known_keys().at(schema_);
    for (const YamlEntry& entry : map_->entries) {
      if (std::ranges::count(known, entry.key) > 0) continue;
      const std::string in_section = path_.empty() ? "" : " in '" + path_ + "'";
      throw RecipeError(entry.where + ": unknown key '" + shown(entry.key) + "'" + in_section +
                        key_hint(schema_, entry.key));
    }
  }

  template <typename T, typename Rule>
  void value(const std::string& key, T& member, const Rule& rule) {
    if (const YamlEntry* entry = find(key)) read_value(entry->value, inside(path_, key), member, rule);
  }

  template <typename T, typename Rule>
  void required(const std::string& key, T& member, const Rule& rule) {
    if (!find(key)) {
      throw RecipeError(where_ + ": missing key '" + key + "'" + (path_.empty() ? "" : " in '" + path_ + "'"));
    }
    value(key, member, rule);
  }

  template <typename Section>
  void section(const std::string& key, Section& member) {
    const YamlEntry* entry = find(key);
    const YamlNode* map = entry ? &entry->value : nullptr;
    YamlNode action;
    if constexpr (requires { member.action; }) {
      // A rule's action alone stands for the rule with its other defaults.
      if (map && map->is(YamlNode::Kind::kScalar)) {
        action.kind = YamlNode::Kind::kMap;
        action.where = map->where;
        action.entries = {{"action", map->where, *map}};
        map = &action;
      }
    }
    read_map(map, entry ? entry->where : where_, inside(path_, key), inside(schema_, key), member);
  }

  template <typename Section>
  void sections(const std::string& key, std::vector<Section>& member) {
    const YamlEntry* entry = find(key);
    if (!entry || entry->value.is(YamlNode::Kind::kNull)) return;
    const YamlNode& list = entry->value;
    const std::string path = inside(path_, key);
    if (!list.is(YamlNode::Kind::kList)) fail_at(list, path, "expected a list of maps, found " + found(list));
    for (size_t i = 0; i < list.items.size(); ++i) {
      const YamlNode& item = list.items[i];
      const std::string item_path = path + "." + std::to_string(i);
      if (!item.is(YamlNode::Kind::kMap)) fail_at(item, item_path, "expected a map, found " + found(item));
      read_map(&item, item.where, item_path, inside(schema_, key), member.emplace_back());
    }
  }

 private:
  static std::string inside(const std::string& path, const std::string& key) {
    return path.empty() ? key : path + "." + key;
  }

  template <typename Section>
  static void read_map(const YamlNode* node, const std::string& where, const std::string& path,
                       const std::string& schema, Section& member) {
    if (node && node->is(YamlNode::Kind::kNull)) node = nullptr;
    if (node && !node->is(YamlNode::Kind::kMap)) fail_at(*node, path, "expected a map, found " + found(*node));
    Reader reader(node, where, path, schema);
    describe(reader, member);
  }

  const YamlEntry* find(const std::string& key) const {
    if (!map_) return nullptr;
    const auto entry = std::ranges::find(map_->entries, key, &YamlEntry::key);
    return entry == map_->entries.end() || entry->value.unset ? nullptr : &*entry;
  }

  const YamlNode* map_;
  std::string where_, path_, schema_;
};

std::string read_text(const std::filesystem::path& file) {
  constexpr size_t kMost = size_t{1} << 20;
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw RecipeError(file.string() + ": a directory; expected a recipe file");
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    const bool exists = std::filesystem::exists(file, ignored);
    throw RecipeError(file.string() + ": " + (exists ? "cannot be read" : "no such file") + "; expected a recipe");
  }
  std::string text(kMost + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  if (stream.bad()) throw RecipeError(file.string() + ": cannot be read; expected a recipe");
  if (text.size() > kMost) throw RecipeError(file.string() + ": larger than 1 MiB; expected a recipe");
  return text;
}

YamlNode read_tree(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  YamlNode root = parse_document(read_text(file), {file.string(), true});
  if (!root.is(YamlNode::Kind::kMap)) {
    throw RecipeError(root.is(YamlNode::Kind::kNull)
                          ? file.string() + ": empty; expected a recipe, with model, adapter, data and training"
                          : root.where + ": expected a map with model, adapter, data, training; found " + found(root));
  }
  for (const std::string& override_text : overrides) apply_override(root, override_text);
  return root;
}

Recipe read_recipe(const YamlNode& root) {
  Recipe recipe;
  Reader reader(&root, root.where, "", "");
  describe(reader, recipe);
  check_recipe(recipe, root);
  recipe.adapter = resolved_method(std::move(recipe.adapter));
  // These rules compare a row with all earlier rows, which a stream does not keep. check_recipe refuses them where the
  // recipe has them; here their defaults are switched off.
  if (CleaningConfig& cleaning = recipe.data.cleaning; recipe.data.streaming) {
    cleaning.exact_duplicates = cleaning.near_duplicates.action = cleaning.conflicting_answers = RuleAction::kOff;
  }
  return recipe;
}

}  // namespace

Recipe load_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  const YamlNode root = read_tree(file, overrides);
  if (has_adapters(root)) {
    throw RecipeError(place_of(root, "adapters") + ": adapters: a list of several runs; expected a recipe of one");
  }
  return read_recipe(root);
}

std::vector<NamedRecipe> load_recipes(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  const YamlNode root = read_tree(file, overrides);
  if (!has_adapters(root)) return {{"", read_recipe(root)}};
  std::vector<NamedRecipe> recipes;
  for (const NamedTree& tree : split_adapters(root)) {
    recipes.push_back({tree.name, read_recipe(tree.root)});
    if (const Method& method = find_method(recipes.back().recipe.adapter.method); method.trains_network) {
      throw RecipeError(place_of(tree.root, "adapter.method") + ": adapter.method: " + method.name +
                        " trains the base itself, " +
                        "which the other adapters share; expected an adapter's method for '" + tree.name + "'");
    }
  }
  return recipes;
}

}  // namespace lora
