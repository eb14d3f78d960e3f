#pragma once
// Rules that tie a recipe's keys together.

#include "lora/recipe/document.h"
#include "lora/recipe/recipe.h"

namespace lora {

// Throws RecipeError at the place in `root`, the tree that `recipe` was read from, of the key to change.
void check_recipe(const Recipe& recipe, const YamlNode& root);

}  // namespace lora
