#include "lora/recipe/adapters_list.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "lora/adapters/adapter_name.h"
#include "lora/recipe/keys.h"
#include "models/base/error.h"

namespace lora {
namespace {

using Kind = YamlNode::Kind;

constexpr std::array<std::string_view, 5> kOwnSections = {"adapter", "data", "training", "evaluation", "export"};
// Keys of training that one process, and one base, have only once.
constexpr std::array<std::string_view, 4> kShared = {"threads", "memory", "memory_limit", "fused"};

bool is_among(const auto& names, const std::string& name) { return std::ranges::find(names, name) != names.end(); }

YamlEntry* entry_of(YamlNode& map, const std::string& key) {
  const auto found = std::ranges::find(map.entries, key, &YamlEntry::key);
  return found == map.entries.end() ? nullptr : &*found;
}

void drop(YamlNode& map, const std::string& key) {
  std::erase_if(map.entries, [&](const YamlEntry& entry) { return entry.key == key; });
}

void put(YamlNode& map, const YamlEntry& entry) {
  if (YamlEntry* there = entry_of(map, entry.key)) {
    *there = entry;
  } else {
    map.entries.push_back(entry);
  }
}

std::string checked_name(const YamlNode& item, const std::string& path) {
  const YamlNode* name = item.find("name");
  if (!name) throw RecipeError(item.where + ": missing key 'name' in '" + path + "'");
  if (!name->is(Kind::kScalar)) fail_at(*name, path + ".name", "expected a name, found " + found(*name));
  const std::string problem = adapter_name_problem(name->text);
  if (!problem.empty()) fail_at(*name, path + ".name", problem + "; found " + found(*name));
  return name->text;
}

void check_keys(const YamlNode& item, const std::string& path) {
  for (const YamlEntry& entry : item.entries) {
    const std::string& key = entry.key;
    if (key == "name" || is_among(kOwnSections, key)) continue;
    if (key == "model") {
      throw RecipeError(entry.where + ": 'model' in '" + path + "': all adapters of a run are on one base; " +
                        "expected model at the top level");
    }
    if (key == "output_dir") {
      throw RecipeError(entry.where + ": 'output_dir' in '" + path +
                        "': an adapter's run is in the folder of its name; " + "expected output_dir at the top level");
    }
    throw RecipeError(entry.where + ": unknown key '" + shown(key) + "' in '" + path + "'" + key_hint("", key));
  }
  const YamlNode* training = item.find("training");
  if (!training) return;
  for (const YamlEntry& entry : training->entries) {
    if (!is_among(kShared, entry.key)) continue;
    throw RecipeError(entry.where + ": '" + entry.key + "' in '" + path + ".training' is one for the whole run; " +
                      "expected it in 'training' at the top level");
  }
}

// `own` over `shared`, key by key.
YamlNode overlaid(const YamlNode& shared, const YamlNode& own) {
  if (!shared.is(Kind::kMap) || !own.is(Kind::kMap)) return own;
  YamlNode both = shared;
  // A run ends by one of the two.
  const bool steps = own.find("max_steps") != nullptr, epochs = own.find("epochs") != nullptr;
  if (steps && !epochs) drop(both, "epochs");
  if (epochs && !steps) drop(both, "max_steps");
  for (const YamlEntry& entry : own.entries) put(both, entry);
  both.where = own.where;
  return both;
}

}  // namespace

bool has_adapters(const YamlNode& root) {
  const YamlNode* list = root.find("adapters");
  return list && !list->is(Kind::kNull);
}

std::vector<NamedTree> split_adapters(const YamlNode& root) {
  const YamlNode& list = *root.find("adapters");
  if (!list.is(Kind::kList) || list.items.empty()) {
    fail_at(list, "adapters",
            "expected a list of adapters, each with a name and data of its own, found " +
                (list.is(Kind::kList) ? "an empty one" : found(list)) + "; a single adapter is described in 'adapter'");
  }
  if (const YamlNode* data = root.find("data"); data && data->find("train") && !data->find("train")->unset) {
    throw RecipeError(place_of(root, "data.train") +
                      ": data.train: each of 'adapters' has data of its own; put it in their 'data'");
  }
  const YamlNode* output = root.find("output_dir");
  if (!output || output->unset) throw RecipeError(root.where + ": missing key 'output_dir'");

  std::map<std::string, std::string> places;
  std::vector<NamedTree> trees;
  for (size_t i = 0; i < list.items.size(); ++i) {
    const YamlNode& item = list.items[i];
    const std::string path = "adapters." + std::to_string(i);
    if (!item.is(Kind::kMap)) fail_at(item, path, "expected a map, found " + found(item));
    NamedTree tree{checked_name(item, path), root};
    const auto [first, is_new] = places.emplace(tree.name, item.find("name")->where);
    if (!is_new) {
      fail_at(*item.find("name"), path + ".name",
              "the name '" + tree.name + "' is taken by the adapter at " + first->second);
    }
    check_keys(item, path);
    drop(tree.root, "adapters");
    tree.root.where = item.where;
    for (const YamlEntry& entry : item.entries) {
      if (entry.key == "name") continue;
      const YamlEntry* shared = entry_of(tree.root, entry.key);
      put(tree.root, {entry.key, entry.where, shared ? overlaid(shared->value, entry.value) : entry.value});
    }
    YamlNode& directory = entry_of(tree.root, "output_dir")->value;
    if (directory.is(Kind::kScalar) && !directory.text.empty()) {
      directory.text = (std::filesystem::path(directory.text) / tree.name).string();
    }
    trees.push_back(std::move(tree));
  }
  return trees;
}

}  // namespace lora
