#pragma once
// The text of recipes, for this room's sources.

#include <filesystem>
#include <string>

namespace lora {

// All bytes of a recipe file, at most a MiB. Throws RecipeError where it cannot be read.
std::string read_recipe_bytes(const std::filesystem::path& file);

// Why the key at `path` does not take `value` (YAML), without its place; empty where it does, by itself: rules between
// keys are not looked at.
std::string value_problem(const std::string& path, const std::string& value);

}  // namespace lora
