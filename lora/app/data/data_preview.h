#pragma once
// Single rows of a recipe's data as the model will see them.

#include <string>

#include "lora/data/tokenizer.h"
#include "lora/recipe/recipe.h"

namespace lora {

struct PreviewOptions {
  bool validation = false;
  int64_t source = 1;            // counted from 1 in its list
  int64_t first = 1, count = 4;  // rows of that source, counted from 1
  bool colour = false;
  bool ids = false;  // a line a token: id, whether it is trained, text
};

// The rows token by token, "│" between tokens, those not trained on dim or between ⟦ and ⟧ (render.h). Rows that
// cleaning would drop are there as well. Throws RecipeError for a source that the recipe does not have, DataError for
// rows that the source does not have.
std::string data_preview(const Recipe& recipe, const Tokenizer& tokenizer, const PreviewOptions& options);

}  // namespace lora
