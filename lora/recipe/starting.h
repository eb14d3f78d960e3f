#pragma once
// The recipes that come with the programs, for a person to begin with.

#include <filesystem>
#include <string>
#include <vector>

namespace lora {

struct StartingRecipe {
  std::string name;   // of its file, without .yaml
  std::string about;  // the first sentence of its comment
};

// Where they are, beside the running program: ../share/lora-train/recipes of an installed one, ../recipes of one in the
// build folder. Throws RecipeError where there are none.
std::filesystem::path starting_recipes_directory();

// Those of a directory, by name.
std::vector<StartingRecipe> starting_recipes(const std::filesystem::path& directory);

// How to download a model to where these recipes read it, as a comment of theirs has it: "hf download Qwen/Qwen3-4B
// --local-dir models/Qwen3-4B"; empty for a path that no comment has.
std::string download_command(const std::filesystem::path& directory, const std::string& model_path);

// The recipe's text as a file anywhere else needs it: the schema and the quickstart's files are named by their whole
// paths. Throws RecipeError, with the nearest name, where there is none of that name.
std::string starting_recipe(const std::filesystem::path& directory, const std::string& name);

}  // namespace lora
