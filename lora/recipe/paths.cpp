#include "lora/recipe/paths.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include "lora/data/chat_template.h"
#include "lora/recipe/starting.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/path_pattern.h"
#include "models/network/model_directory.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

enum class PathKind { kModel, kAdapter, kData, kTemplate };

bool is_there(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error) || (is_path_pattern(path) && !matching_paths(path).empty());
}

// Calls `visit(key, path, kind)` for every path that a run of the recipe reads.
void for_each_path(Recipe& recipe, const std::function<void(const std::string&, std::string&, PathKind)>& visit) {
  visit("model.path", recipe.model.path, PathKind::kModel);
  if (!recipe.adapter.init_from.empty()) visit("adapter.init_from", recipe.adapter.init_from, PathKind::kAdapter);
  const auto visit_template = [&](const std::string& key, std::string& name) {
    if (is_template_path(name) && !is_template_text(name)) visit(key, name, PathKind::kTemplate);
  };
  visit_template("data.template", recipe.data.chat_template);
  for (const auto& [list, sources] :
       {std::pair{"data.train", &recipe.data.train}, std::pair{"data.validation", &recipe.data.validation}}) {
    for (size_t i = 0; i < sources->size(); ++i) {
      const std::string key = std::string(list) + "." + std::to_string(i);
      DataSource& source = (*sources)[i];
      if (source.path != "-") visit(key + ".path", source.path, PathKind::kData);
      visit_template(key + ".template", source.chat_template);
    }
  }
}

std::string whole_path(const fs::path& path) {
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  return (error ? path : whole).lexically_normal().string();
}

// What makes the data of the project's own recipes that are not stored with it.
std::string maker_of(const std::string& path) {
  const std::string assets = "runs/quickstart-assets";
  return path.starts_with(assets + "/") ? "; scripts/make_quickstart " + assets + " makes it" : "";
}

std::string beside(const fs::path& directory, const std::string& path) { return whole_path(directory / path); }

// For the model of a recipe to start from.
std::string download_hint(const std::string& path) {
  try {
    const std::string command = download_command(starting_recipes_directory(), path);
    return command.empty() ? "" : "; nothing is downloaded here: run " + command;
  } catch (const Error&) {  // a program without its recipes
    return "";
  }
}

// " (did you mean 'train.jsonl'?)": the nearest name in the folder of a path that is not there.
std::string nearest_in_folder(const fs::path& path) {
  constexpr size_t kMostNames = 1000;
  std::vector<std::string> names;
  std::error_code error;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  for (fs::directory_iterator at(folder, error), end; !error && at != end && names.size() < kMostNames;
       at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  return did_you_mean(path.filename().string(), names);
}

// Nothing where something is there.
std::optional<Error> missing(const std::string& key, const std::string& path, PathKind kind, const std::string& place,
                             const fs::path& recipe_directory) {
  if (is_there(path)) return {};
  std::string tried = whole_path(path), hint = is_path_pattern(path) ? "" : nearest_in_folder(path);
  if (const std::string other = beside(recipe_directory, path); other != tried && !fs::path(path).is_absolute()) {
    tried += " and " + other;
    if (hint.empty() && !is_path_pattern(path)) hint = nearest_in_folder(other);
  }
  const char* what = kind == PathKind::kModel || kind == PathKind::kAdapter ? "no such directory"
                     : is_path_pattern(path)                                ? "no file matches this pattern"
                                                                            : "no such file";
  if (const std::string made = maker_of(path); !made.empty()) hint = made;
  if (hint.empty() && kind == PathKind::kModel) hint = download_hint(path);
  if (hint.empty() && kind == PathKind::kModel) hint = hub_hint(path, "");
  if (hint.empty() && kind == PathKind::kData) hint = hub_hint(path, "--repo-type dataset ");
  const std::string message = place + ": " + path + ": " + what + hint + "; looked for " + tried + " (" + key + ")";
  return kind == PathKind::kData       ? Error(ExitCode::kData, "data", message)
         : kind == PathKind::kTemplate ? Error(ExitCode::kRecipe, "recipe", message)
                                       : Error(ExitCode::kModel, "model", message);
}

// The path without links; of a pattern, of its folder. Unchanged where there is nothing.
std::string real_path(const std::string& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (!error) return real.string();
  if (!is_path_pattern(path)) return path;
  const fs::path folder = fs::canonical(fs::path(path).has_parent_path() ? fs::path(path).parent_path() : ".", error);
  return error ? path : (folder / fs::path(path).filename()).string();
}

}  // namespace

std::string with_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home && *home ? std::string(home) + path.substr(1) : path;
}

std::string found_path(const std::string& path, const fs::path& recipe_directory) {
  const std::string found = with_home(path);
  if (found.empty() || fs::path(found).is_absolute() || is_there(found)) return found;
  const std::string other = beside(recipe_directory, found);
  return is_there(other) ? other : found;
}

void find_paths(Recipe& recipe, const fs::path& recipe_directory) {
  for_each_path(recipe,
                [&](const std::string&, std::string& path, PathKind) { path = found_path(path, recipe_directory); });
  recipe.output_dir = with_home(recipe.output_dir);
  recipe.data.cache_dir = with_home(recipe.data.cache_dir);
}

void check_paths(const Recipe& recipe, const YamlNode& root, const fs::path& recipe_directory, Problems& problems) {
  Recipe copy = recipe;
  for_each_path(copy, [&](const std::string& key, std::string& path, PathKind kind) {
    if (problems.is_spoiled(key)) return;
    if (const auto error = missing(key, path, kind, place_of(root, key), recipe_directory)) problems.add(*error);
  });
}

Recipe with_real_paths(Recipe recipe) {
  for_each_path(recipe, [](const std::string&, std::string& path, PathKind) { path = real_path(path); });
  return recipe;
}

}  // namespace lora
