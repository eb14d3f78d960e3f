#pragma once
// From a recipe's data sources to samples: rows read, made examples, filtered, tokenised and masked; or all of it found
// in the cache.

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
  std::function<std::string()> notes = {};  // asked for after the last row: the dataset's notes, kept with it
};

struct LoadedDataset : Dataset {
  std::string cache;  // what became of the cache, for the report; empty where there is none
};

// On ATen's threads; the result does not depend on how many there are, nor on whether it comes from the cache. No
// sources give an empty dataset. Throws DataError for bad rows, as data.on_error says, for a source without rows, for
// one that the filter leaves none of, for a file that changes while it is read, and as expect_trainable does;
// RecipeError for an unknown format. A cache that cannot be used is no error: the samples are then in memory.
LoadedDataset load_dataset(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                           const LoadOptions& options);

// The first rows as text, for answering them; also those that load_dataset leaves out for their length. Errors as
// above.
std::vector<Example> load_examples(const std::vector<DataSource>& sources, const DataConfig& data,
                                   int64_t most = std::numeric_limits<int64_t>::max());

}  // namespace lora
