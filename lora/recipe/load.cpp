// load_recipe, load_recipes: file -> tree -> overrides -> structs -> checks.

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <new>
#include <system_error>
#include <type_traits>

#include "lora/adapters/registry.h"
#include "lora/recipe/adapters_list.h"
#include "lora/recipe/checks.h"
#include "lora/recipe/convert.h"
#include "lora/recipe/document.h"
#include "lora/recipe/fields.h"
#include "lora/recipe/idle_keys.h"
#include "lora/recipe/init_from.h"
#include "lora/recipe/keys.h"
#include "lora/recipe/modules.h"
#include "lora/recipe/paths.h"
#include "lora/recipe/problems.h"
#include "lora/recipe/recipe_text.h"
#include "lora/training/objective.h"
#include "models/base/error.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

// Fills the structs from a map of the tree; a null map has no keys.
class Reader {
 public:
  // `where` and `path` are the section's own; `schema` is its name in known_keys(). All that is wrong is noted.
  Reader(const YamlNode* map, std::string where, std::string path, std::string schema, Problems& problems)
      : map_(map), where_(std::move(where)), path_(std::move(path)), schema_(std::move(schema)), problems_(problems) {
    if (!map_) return;
    const auto& known = known_keys().at(schema_);
    for (const YamlEntry& entry : map_->entries) {
      if (std::ranges::count(known, entry.key) > 0) continue;
      const std::string in_section = path_.empty() ? "" : " in '" + path_ + "'";
      const KeyHint hint = key_hint(schema_, entry.key);
      note(entry.where + ": unknown key '" + shown(entry.key) + "'" + in_section + hint.text);
      // The person means that key, so that it is not missing.
      const bool of_this = hint.path.starts_with(inside(schema_, ""));
      if (!hint.path.empty()) problems_.spoil(of_this ? path_ + hint.path.substr(schema_.size()) : hint.path);
    }
  }

  template <typename T, typename Rule>
  void value(const std::string& key, T& member, const Rule& rule) {
    // Where null is a value, an override's null is this value, which may not be the default.
    constexpr bool kTakesNull = std::is_same_v<Rule, OrNull> || std::is_same_v<Rule, TemplateOrNull>;
    const YamlEntry* entry = kTakesNull ? find_or_unset(key) : find(key);
    if (!entry) return;
    const std::string path = inside(path_, key);
    T read = member;
    if (problems_.note([&] { read_value(entry->value, path, read, rule); })) {
      member = std::move(read);
    } else {
      problems_.spoil(path);
    }
  }

  template <typename T, typename Rule>
  void required(const std::string& key, T& member, const Rule& rule) {
    if (find(key)) return value(key, member, rule);
    const std::string path = inside(path_, key);
    if (!problems_.is_spoiled(path)) {
      note(where_ + ": missing key '" + key + "'" + (path_.empty() ? "" : " in '" + path_ + "'"));
    }
    problems_.spoil(path);
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
    read_map(map, entry ? entry->where : where_, inside(path_, key), inside(schema_, key), member, problems_);
  }

  template <typename Section>
  void sections(const std::string& key, std::vector<Section>& member) {
    const YamlEntry* entry = find(key);
    if (!entry || entry->value.is(YamlNode::Kind::kNull)) return;
    const YamlNode& list = entry->value;
    const std::string path = inside(path_, key);
    // For a path in place of a source, a common slip, the message has the correction.
    const auto hint = [](const YamlNode& node, const std::string& before, const std::string& after) {
      constexpr bool kHasPath = requires(Section source) { source.path; };
      return kHasPath && node.is(YamlNode::Kind::kScalar)
                 ? "; write " + before + "{path: " + shown(node.text) + "}" + after
                 : "";
    };
    if (!is_kind(list, YamlNode::Kind::kList, path, "a list of maps", problems_, hint(list, "[", "]"))) return;
    for (size_t i = 0; i < list.items.size(); ++i) {
      const YamlNode& item = list.items[i];
      const std::string item_path = path + "." + std::to_string(i);
      Section& read = member.emplace_back();
      if (!is_kind(item, YamlNode::Kind::kMap, item_path, "a map", problems_, hint(item, "", ""))) continue;
      read_map(&item, item.where, item_path, inside(schema_, key), read, problems_);
    }
  }

 private:
  static std::string inside(const std::string& path, const std::string& key) {
    return path.empty() ? key : path + "." + key;
  }

  static bool is_kind(const YamlNode& node, YamlNode::Kind kind, const std::string& path, const std::string& expected,
                      Problems& problems, const std::string& hint = "") {
    if (node.is(kind)) return true;
    problems.note([&] { fail_at(node, path, "expected " + expected + ", found " + found(node) + hint); });
    problems.spoil(path);
    return false;
  }

  template <typename Section>
  static void read_map(const YamlNode* node, const std::string& where, const std::string& path,
                       const std::string& schema, Section& member, Problems& problems) {
    if (node && node->is(YamlNode::Kind::kNull)) node = nullptr;
    if (node && !is_kind(*node, YamlNode::Kind::kMap, path, "a map", problems)) return;
    Reader reader(node, where, path, schema, problems);
    describe(reader, member);
  }

  void note(const std::string& message) { problems_.add(RecipeError(message)); }

  const YamlEntry* find_or_unset(const std::string& key) const {
    if (!map_) return nullptr;
    const auto entry = std::ranges::find(map_->entries, key, &YamlEntry::key);
    return entry == map_->entries.end() ? nullptr : &*entry;
  }

  const YamlEntry* find(const std::string& key) const {
    const YamlEntry* entry = find_or_unset(key);
    return entry && entry->value.unset ? nullptr : entry;
  }

  const YamlNode* map_;
  std::string where_, path_, schema_;
  Problems& problems_;
};

YamlNode read_tree(const std::string& text, const std::filesystem::path& file,
                   const std::vector<std::string>& overrides, Problems& problems) {
  YamlNode root = parse_document(text, {file.string(), true}, problems);
  if (!root.is(YamlNode::Kind::kMap)) {
    throw RecipeError(root.is(YamlNode::Kind::kNull)
                          ? file.string() + ": empty; expected a recipe, with model, adapter, data and training"
                          : root.where + ": expected a map with model, adapter, data, training; found " + found(root));
  }
  if (const std::string tool = foreign_tool(root); !tool.empty()) {
    throw RecipeError(file.string() + ": written for " + tool + "; expected a recipe. lora-train --convert " +
                      file.string() + " prints the one that does the same");
  }
  for (const std::string& override_text : overrides) {
    problems.note([&] { apply_override(root, override_text); });
  }
  return root;
}

// The adapter; where the whole network is trained, the network.
std::vector<std::string> default_exports(const AdapterConfig& adapter) {
  return {find_method(adapter.method).trains_network ? "huggingface" : "peft"};
}

// kRun: what a run needs beside the text of its recipe is looked at too.
enum class Purpose { kRead, kRun };

// What is wrong is noted in `problems`; the recipe is then not to be used.
NamedRecipe read_recipe(const std::string& name, YamlNode root, const std::filesystem::path& file, Purpose purpose,
                        Problems& problems) {
  adopt_init_from(root, file.parent_path());
  NamedRecipe read{.name = name, .recipe = {}};
  Recipe& recipe = read.recipe;
  Problems own;
  Reader reader(&root, root.where, "", "", own);
  describe(reader, recipe);
  const YamlNode* exports = root.find("export");
  if (!exports || exports->is(YamlNode::Kind::kNull)) recipe.exports = default_exports(recipe.adapter);
  recipe.data.trains =
      recipe.model.head != Head::kNone ? Trains::kLabel : find_objective(recipe.training.objective).trains;
  check_recipe(recipe, root, own);
  find_paths(recipe, file.parent_path());
  if (purpose == Purpose::kRun) {
    check_paths(recipe, root, file.parent_path(), own);
    check_modules(recipe, root, own);
  }
  problems.add(own);
  if (!own.empty()) return read;
  read.notes = idle_keys(recipe, root, !name.empty());
  recipe.adapter = resolved_method(std::move(recipe.adapter));
  // It adapts no module, whatever an earlier version wrote there.
  if (find_method(recipe.adapter.method).trains_network) recipe.adapter.target_modules = AllLinear{};
  // These rules compare a row with all earlier rows, which a stream does not keep. check_recipe refuses them where the
  // recipe has them; here their defaults are switched off.
  if (CleaningConfig& cleaning = recipe.data.cleaning; recipe.data.streaming) {
    cleaning.exact_duplicates = cleaning.near_duplicates.action = cleaning.conflicting_answers = RuleAction::kOff;
  }
  return read;
}

// The base is shared by all adapters.
void expect_adapter_method(const NamedTree& tree, const Recipe& recipe) {
  const Method& method = find_method(recipe.adapter.method);
  if (!method.trains_network) return;
  throw RecipeError(place_of(tree.root, "adapter.method") + ": adapter.method: " + method.name +
                    " trains the base itself, which the other adapters share; expected an adapter's method for '" +
                    tree.name + "'");
}

std::vector<NamedRecipe> load_all(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                                  Purpose purpose) {
  Problems problems;
  const YamlNode root = read_tree(read_recipe_bytes(file), file, overrides, problems);
  std::vector<NamedRecipe> recipes;
  if (!has_adapters(root)) {
    recipes.push_back(read_recipe("", root, file, purpose, problems));
  } else {
    std::vector<NamedTree> trees;
    problems.note([&] { trees = split_adapters(root, problems); });
    for (const NamedTree& tree : trees) {
      recipes.push_back(read_recipe(tree.name, tree.root, file, purpose, problems));
      problems.note([&] { expect_adapter_method(tree, recipes.back().recipe); });
    }
  }
  problems.throw_any();
  return recipes;
}

}  // namespace

std::string read_recipe_bytes(const std::filesystem::path& file) {
  constexpr size_t kMost = size_t{1} << 20;
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw RecipeError(file.string() + ": a directory; expected a recipe file");
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    if (errno == ENOMEM) throw std::bad_alloc();  // a stream takes some
    const bool exists = std::filesystem::exists(file, ignored);
    throw RecipeError(file.string() + ": " + (exists ? "cannot be read" : "no such file") + "; expected a recipe");
  }
  std::string text;
  for (char part[4096]; stream && text.size() <= kMost;) {
    stream.read(part, sizeof part);
    text.append(part, static_cast<size_t>(stream.gcount()));
  }
  if (stream.bad()) throw RecipeError(file.string() + ": cannot be read; expected a recipe");
  if (text.size() > kMost) throw RecipeError(file.string() + ": larger than 1 MiB; expected a recipe");
  return text;
}

std::string value_problem(const std::string& path, const std::string& value) {
  YamlNode root;
  root.kind = YamlNode::Kind::kMap;
  try {
    apply_override(root, path + "=" + value);
  } catch (const RecipeError& error) {
    return without_component(error);
  }
  Problems problems;
  Recipe recipe;
  Reader reader(&root, "", "", "", problems);
  describe(reader, recipe);
  // What is missing is no fault of this value.
  const std::string mark = "override '" + path + "=" + value + "': ";
  try {
    problems.throw_any();
  } catch (const RecipeError& error) {
    const std::string text = error.what();
    for (size_t at = 0; (at = text.find(mark, at)) != std::string::npos;) {
      at += mark.size();
      const std::string problem = text.substr(at, text.find('\n', at) - at);
      if (!problem.starts_with("missing key ")) return problem;
    }
  }
  return "";
}

namespace {

Recipe one_recipe(const std::string& text, const std::filesystem::path& file,
                  const std::vector<std::string>& overrides) {
  Problems problems;
  const YamlNode root = read_tree(text, file, overrides, problems);
  if (has_adapters(root)) {
    throw RecipeError(place_of(root, "adapters") + ": adapters: a list of several runs; expected a recipe of one");
  }
  Recipe recipe = read_recipe("", root, file, Purpose::kRead, problems).recipe;
  problems.throw_any();
  return recipe;
}

}  // namespace

Recipe load_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  return one_recipe(read_recipe_bytes(file), file, overrides);
}

Recipe load_stored_recipe(const std::filesystem::path& file) { return one_recipe(read_stored_file(file), file, {}); }

std::vector<NamedRecipe> load_recipes(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  return load_all(file, overrides, Purpose::kRead);
}

std::vector<NamedRecipe> load_recipes_to_run(const std::filesystem::path& file,
                                             const std::vector<std::string>& overrides) {
  return load_all(file, overrides, Purpose::kRun);
}

}  // namespace lora
