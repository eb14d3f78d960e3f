#pragma once
// Loads a recipe's datasets: cleaned, tokenised and mixed.

#include <cstdint>
#include <functional>
#include <memory>

#include "lora/data/cleaning/cleaner.h"
#include "lora/data/cleaning/load_filter.h"
#include "lora/data/labels.h"
#include "lora/data/load.h"
#include "lora/data/mixing.h"
#include "lora/data/sample_stream.h"
#include "lora/data/tokenizer.h"
#include "lora/recipe/recipe.h"
#include "lora/terminal/busy.h"

namespace lora {

// Training data that is streamed.
struct StreamedData {
  std::unique_ptr<CleaningFilters> filters;
  std::unique_ptr<SampleStream> samples;
};

struct RecipeData {
  DataConfig config;    // of the recipe, with its lists as they are read: see split_off_validation()
  LoadedDataset train;  // empty with data.streaming
  LoadedDataset validation;
  CleaningReport cleaning;  // also if the data came from the cache; not for a stream
  CleaningSeconds cleaning_seconds;
  Mixture mixture;        // of train
  StreamedData stream;    // with data.streaming, positioned at its first window
  bool prepared = false;  // train is read from prepared data, as are its validation data where they are
};

// How far the reading and tokenising of rows is.
struct RowsRead {
  int64_t rows = 0;
  int64_t bytes = 0, all_bytes = 0;  // of files on disk, packed or not; standard input has none
};
using OnRows = std::function<void(const RowsRead&)>;

// Shows it.
OnRows shown_by(Busy& busy);

// The caller sets all of `cache` except the options. `on_rows`: called again and again while rows are read, but for a
// stream. `examples`: stored findings per rule and source. Throws the errors of load_dataset and Mixture.
RecipeData load_recipe_data(const Recipe& recipe, const Tokenizer& tokenizer, const Labels& labels,
                            const CacheOptions& cache = {}, const OnRows& on_rows = {}, size_t examples = 3);

// The sources with the formats that were found in them; of a stream, of those that were opened so far.
std::vector<DataSource> sources_as_found(std::vector<DataSource> sources, const Dataset& dataset);

}  // namespace lora
