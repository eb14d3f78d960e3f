#pragma once
// The data sets of a recipe: cleaned as it says, tokenised, and how they are mixed.

#include <memory>

#include "lora/data/cleaning/cleaner.h"
#include "lora/data/cleaning/load_filter.h"
#include "lora/data/labels.h"
#include "lora/data/load.h"
#include "lora/data/mixing.h"
#include "lora/data/sample_stream.h"
#include "lora/data/tokenizer.h"
#include "lora/recipe/recipe.h"

namespace lora {

// Training data that is read in passing.
struct StreamedData {
  std::unique_ptr<CleaningFilters> filters;
  std::unique_ptr<SampleStream> samples;
};

struct RecipeData {
  LoadedDataset train;  // empty with data.streaming
  LoadedDataset validation;
  CleaningReport cleaning;  // also where the data was found in the cache; not of a stream
  CleaningSeconds cleaning_seconds;
  Mixture mixture;      // of train
  StreamedData stream;  // with data.streaming, at its first window
};

// Of `cache`, all but the options are the caller's. `examples`: findings kept of each rule and source. Errors as
// load_dataset's and Mixture's.
RecipeData load_recipe_data(const Recipe& recipe, const Tokenizer& tokenizer, const Labels& labels,
                            const CacheOptions& cache = {}, size_t examples = 3);

}  // namespace lora
