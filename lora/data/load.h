#pragma once
// Loads a recipe's data sources as samples: reads rows, builds examples, filters, tokenises and masks them, or takes
// all of it from the cache.

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "lora/data/cache.h"
#include "lora/data/config.h"
#include "lora/data/dataset.h"
#include "lora/data/examples.h"
#include "lora/data/sample_reader.h"
#include "lora/data/tokenizer.h"

namespace lora {

struct LoadOptions : SampleOptions {
  CacheOptions cache = {};
  std::function<std::string()> notes = {};  // called after the last row: notes to store with the dataset
  // Called after each block of rows that is tokenised, with the rows so far and the bytes of files that they took. Not
  // called for samples that the cache has.
  std::function<void(int64_t rows, int64_t bytes)> on_rows = {};
};

struct LoadedDataset : Dataset {
  std::string cache;  // describes how the cache was used, for the report; empty: no cache
};

// Runs on ATen's threads. The result does not depend on their number or on the cache. Without sources, the dataset is
// empty. Throws DataError for bad rows (as data.on_error says), a source without rows, a source whose rows are all
// filtered out, a file that changes while it is read, and in the cases of expect_trainable; RecipeError for an unknown
// format. A cache failure is not an error: the samples are then in memory.
LoadedDataset load_dataset(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                           const LoadOptions& options);

// The first `most` rows as examples, to let a model answer them. Includes rows that load_dataset drops for their
// length. Throws the same errors.
std::vector<Example> load_examples(const std::vector<DataSource>& sources, const DataConfig& data,
                                   int64_t most = std::numeric_limits<int64_t>::max());

}  // namespace lora
