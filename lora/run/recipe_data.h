#pragma once
// The data sets of a recipe: cleaned as it says, tokenised, and how they are mixed.

#include "lora/data/cleaning/cleaner.h"
#include "lora/data/labels.h"
#include "lora/data/load.h"
#include "lora/data/mixing.h"
#include "lora/data/tokenizer.h"
#include "lora/recipe/recipe.h"

namespace lora {

struct RecipeData {
  LoadedDataset train, validation;
  CleaningReport cleaning;  // without the rows of data found in the cache
  CleaningSeconds cleaning_seconds;
  Mixture mixture;  // of train
};

// Of `cache`, all but the options are the caller's. `examples`: findings kept of each rule and source. Errors as
// load_dataset's and Mixture's.
RecipeData load_recipe_data(const Recipe& recipe, const Tokenizer& tokenizer, const Labels& labels,
                            const CacheOptions& cache = {}, size_t examples = 3);

}  // namespace lora
