#pragma once
// What a recipe's adapter says of the model's modules, held against the model's config.json.

#include "lora/recipe/document.h"
#include "lora/recipe/problems.h"
#include "lora/recipe/recipe.h"

namespace lora {

// Notes in `problems`, at its place in `root`, each pattern of the adapter that matches no module; where there are no
// problems at all, also what else keeps the adapter out of such a model, as a rank beyond a weight's. Names and shapes
// follow from config.json: no weights are read, and none are made. A model whose config.json cannot be read is left to
// its loading. Patterns that came from the file of adapter.init_from (see adopt_init_from) and match nothing are of no
// account, and are taken out of the recipe.
void check_modules(Recipe& recipe, const YamlNode& root, Problems& problems);

// Whether both recipes, of one model, adapt the same modules, by its config.json: their patterns may differ.
bool mean_same_modules(const Recipe& a, const Recipe& b);

}  // namespace lora
