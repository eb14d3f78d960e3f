#pragma once
// From a recipe's data sources to samples: rows read, made examples, filtered, tokenised and masked.

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "lora/data/config.h"
#include "lora/data/dataset.h"
#include "lora/data/labels.h"
#include "lora/data/tokenizer.h"

namespace lora {

// A row on its way to a sample.
struct ExampleRow {
  Example example;
  size_t source;      // index into the sources
  std::string where;  // "file:line"
  bool keep = true;   // what a filter says
};

// Sees all rows in their order, in blocks, before they are tokenised; may change an example, and clears `keep` of those
// to leave out. Called on one thread, where it may use all of ATen's.
using RowFilter = std::function<void(std::span<ExampleRow> rows)>;

struct LoadOptions {
  int64_t max_length = 512;
  // Rows have labels, of these, or none where these are empty; others are a DataError.
  Labels labels = {};
  DataConfig data = {};  // how rows are made samples; its lists are not read
  RowFilter filter = {};
};

// On ATen's threads; the result does not depend on how many there are. No sources give an empty dataset. Throws
// DataError for bad rows, for a source without rows and as expect_trainable does,
// RecipeError for an unknown format.
Dataset load_dataset(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const LoadOptions& options);

// Every row as an example, with its place in its file. Errors as above.
void visit_examples(const std::vector<DataSource>& sources,
                    const std::function<void(Example example, const std::string& where)>& visit);

// The first rows as text, for answering them; also those that load_dataset leaves out. Errors as above.
std::vector<Example> load_examples(const std::vector<DataSource>& sources,
                                   int64_t most = std::numeric_limits<int64_t>::max());

}  // namespace lora
