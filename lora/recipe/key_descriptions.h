#pragma once
// What the keys of a recipe mean, in the words of docs/recipe.md, which is compiled in.

#include <map>
#include <string>

namespace lora {

// Path to text: "training.batch_size" to "rows an optimizer step". Where a row of the reference names several keys, each
// has its text. A key of a source has the paths of data.train and of data.validation.
std::map<std::string, std::string> key_descriptions();

}  // namespace lora
