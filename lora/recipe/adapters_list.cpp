#include "lora/recipe/adapters_list.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "lora/adapters/adapter_name.h"
#include "lora/recipe/keys.h"
#include "models/base/error.h"

namespace lora {
namespace {

using Kind = YamlNode::Kind;

// Keys of one section that take each other's place.
constexpr std::array<std::pair<const char*, const char*>, 3> kEitherOr = {
    {{"max_steps", "epochs"}, {"warmup_steps", "warmup_ratio"}, {"validation", "validation_split"}}};

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

// Drops the keys that an entry cannot have.
void check_keys(YamlNode& item, const std::string& path, Problems& problems) {
  const auto refuse = [&](const YamlEntry& entry, const std::string& message) {
    problems.add(RecipeError(entry.where + ": " + message));
    return true;
  };
  std::erase_if(item.entries, [&](const YamlEntry& entry) {
    const std::string& key = entry.key;
    if (key == "name" || is_among(kOwnSections, key)) return false;
    if (key == "model") {
      return refuse(
          entry, "'model' in '" + path + "': all adapters of a run are on one base; expected model at the top level");
    }
    if (key == "output_dir") {
      return refuse(entry,
                    "'output_dir' in '" + path +
                        "': an adapter's run is in the folder of its name; expected output_dir at the top level");
    }
    return refuse(entry, "unknown key '" + shown(key) + "' in '" + path + "'" + key_hint("", key).text);
  });
  YamlEntry* training = entry_of(item, "training");
  if (!training) return;
  std::erase_if(training->value.entries, [&](const YamlEntry& entry) {
    return is_among(kSharedTraining, entry.key) &&
           refuse(entry, "'" + entry.key + "' in '" + path +
                             ".training' is one for the whole run; expected it in 'training' at the top level");
  });
}

// One that is missing is noted once, not for each entry.
void expect_output_dir(YamlNode& shared, Problems& problems) {
  const YamlNode* output = shared.find("output_dir");
  if (output && !output->unset) return;
  const bool misspelt = std::ranges::any_of(
      shared.entries, [](const YamlEntry& entry) { return key_hint("", entry.key).path == "output_dir"; });
  if (!misspelt) problems.add(RecipeError(shared.where + ": missing key 'output_dir'"));
  YamlNode stand_in;
  stand_in.kind = Kind::kScalar;
  stand_in.text = "missing";
  put(shared, {"output_dir", shared.where, std::move(stand_in)});
}

// `own` over `shared`, key by key.
YamlNode overlaid(const YamlNode& shared, const YamlNode& own) {
  if (!shared.is(Kind::kMap) || !own.is(Kind::kMap)) return own;
  YamlNode both = shared;
  for (const auto& [one, other] : kEitherOr) {
    const bool has_one = own.find(one) != nullptr, has_other = own.find(other) != nullptr;
    if (has_one && !has_other) drop(both, other);
    if (has_other && !has_one) drop(both, one);
  }
  for (const YamlEntry& entry : own.entries) put(both, entry);
  both.where = own.where;
  return both;
}

}  // namespace

bool has_adapters(const YamlNode& root) {
  const YamlNode* list = root.find("adapters");
  return list && !list->is(Kind::kNull);
}

std::vector<NamedTree> split_adapters(const YamlNode& root, Problems& problems) {
  const YamlNode& list = *root.find("adapters");
  if (!list.is(Kind::kList) || list.items.empty()) {
    fail_at(list, "adapters",
            "expected a list of adapters, each with a name and data of its own, found " +
                (list.is(Kind::kList) ? "an empty one" : found(list)) + "; a single adapter is described in 'adapter'");
  }
  YamlNode shared = root;
  drop(shared, "adapters");
  if (const YamlNode* data = root.find("data"); data && data->find("train") && !data->find("train")->unset) {
    problems.add(RecipeError(place_of(root, "data.train") +
                             ": data.train: each of 'adapters' has data of its own; put it in their 'data'"));
    drop(entry_of(shared, "data")->value, "train");
  }

  expect_output_dir(shared, problems);

  std::map<std::string, std::string> places;
  std::vector<NamedTree> trees;
  for (size_t i = 0; i < list.items.size(); ++i) {
    YamlNode item = list.items[i];
    const std::string path = "adapters." + std::to_string(i);
    NamedTree tree{"", shared};
    const auto name_it = [&] {
      if (!item.is(Kind::kMap)) fail_at(item, path, "expected a map, found " + found(item));
      tree.name = checked_name(item, path);
      const YamlNode& name = *item.find("name");
      const auto [first, is_new] = places.emplace(tree.name, name.where);
      if (is_new) return;
      fail_at(name, path + ".name", "the name '" + tree.name + "' is taken by the adapter at " + first->second);
    };
    problems.note(name_it);
    if (!item.is(Kind::kMap)) continue;
    check_keys(item, path, problems);
    tree.root.where = item.where;
    for (const YamlEntry& entry : item.entries) {
      if (entry.key == "name") continue;
      const YamlEntry* of_all = entry_of(tree.root, entry.key);
      put(tree.root, {entry.key, entry.where, of_all ? overlaid(of_all->value, entry.value) : entry.value});
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
