#pragma once
// Rules between the keys of a recipe.

#include "lora/recipe/document.h"
#include "lora/recipe/problems.h"
#include "lora/recipe/recipe.h"

namespace lora {

// Notes in `problems`, at the place of the key to change, each rule that the recipe does not keep. `root` is the tree
// that `recipe` was read from, with these problems: a rule that reads a spoiled key is left out.
void check_recipe(const Recipe& recipe, const YamlNode& root, Problems& problems);

}  // namespace lora
