#pragma once
// The wording of a recipe's errors.

#include <string>

#include "lora/recipe/document.h"

namespace lora {

// What stands at a node: "'abc'", "the string '8'", "nothing", "a list", "a map".
std::string found(const YamlNode& node);

// A name from the file, cut short and without control characters.
std::string shown(const std::string& text);

// Throws RecipeError "recipes/a.yaml:12:5: adapter.rank: MESSAGE". An override of this very value says its path itself.
[[noreturn]] void fail_at(const YamlNode& node, const std::string& path, const std::string& message);

// Where the value at `path` stands; for a map, its key; where there is none, the nearest thing above it.
std::string place_of(const YamlNode& root, const std::string& path);

}  // namespace lora
