#pragma once
// Keys that a recipe sets and that have no effect, because of what another key says.

#include <string>
#include <vector>

#include "lora/recipe/document.h"
#include "lora/recipe/recipe.h"

namespace lora {

// A line for each reason: "a.yaml:5:3: adapter.rank and adapter.alpha have no effect: method full trains …". Keys whose
// value is the default are left out, unless a person would set them for their effect all the same. (What contradicts
// another key is refused by checks.h.) `root`: the tree that `recipe` was read from. `one_of_several`: it is of a list of
// adapters.
std::vector<std::string> idle_keys(const Recipe& recipe, const YamlNode& root, bool one_of_several);

}  // namespace lora
