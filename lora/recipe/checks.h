#pragma once
// Rules between the keys of a recipe.

#include "lora/recipe/document.h"
#include "lora/recipe/recipe.h"

namespace lora {

// Throws RecipeError at the place of the key to change. `root` is the tree that `recipe` was read from.
void check_recipe(const Recipe& recipe, const YamlNode& root);

}  // namespace lora
