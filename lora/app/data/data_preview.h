#pragma once
// Shows single rows of a recipe's data as the model sees them.

#include <string>

#include "lora/data/tokenizer.h"
#include "lora/recipe/recipe.h"

namespace lora {

struct PreviewOptions {
  bool validation = false;
  int64_t source = 1;            // number in its list, from 1
  int64_t first = 1, count = 4;  // rows of that source, from 1
  bool colour = false;
  bool ids = false;  // one line per token: id, trained or not, text
};

// Shows the rows token by token with "│" between tokens. Tokens that are not trained are dim or between ⟦ and ⟧
// (render.h). Includes rows that cleaning would drop. Throws RecipeError for a source that is not in the recipe,
// DataError for rows that are not in the source.
std::string data_preview(const Recipe& recipe, const Tokenizer& tokenizer, const PreviewOptions& options);

}  // namespace lora
