#pragma once
// Where a recipe's paths lead. A relative path starts at the working directory; where nothing is there, it starts at
// the recipe's own directory.

#include <filesystem>
#include <string>

#include "lora/recipe/document.h"
#include "lora/recipe/problems.h"
#include "lora/recipe/recipe.h"

namespace lora {

// `path` with ~/ at its front replaced by the home directory.
std::string with_home(const std::string& path);

// Settles the paths to read (model.path, adapter.init_from, the sources, and templates that are files): ~/ is the home
// directory; a path stays as written if there is something in the working directory; else, if there is something beside
// the recipe, it becomes that absolute path; else it stays as written. Of data.cache_dir and output_dir, ~/ alone is
// replaced: they start at the working directory.
void find_paths(Recipe& recipe, const std::filesystem::path& recipe_directory);

// One path, settled in this way.
std::string found_path(const std::string& path, const std::filesystem::path& recipe_directory);

// Notes in `problems`, at its place in `root`, each of these paths where there is nothing: an Error with the component
// and exit code of its kind (model, data or, for a template, recipe) and the absolute paths that were tried.
void check_paths(const Recipe& recipe, const YamlNode& root, const std::filesystem::path& recipe_directory,
                 Problems& problems);

// A copy with absolute paths without links, to compare two recipes.
Recipe with_real_paths(Recipe recipe);

}  // namespace lora
