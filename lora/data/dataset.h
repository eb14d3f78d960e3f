#pragma once
// All samples of a recipe's data sources, tokenised and in memory.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lora/data/config.h"
#include "lora/data/labels.h"
#include "lora/data/sample.h"

namespace lora {

struct Dataset {
  std::vector<Sample> samples;  // sources in order, rows in file order
  int64_t cut = 0;              // samples shortened to max_length, of those kept
  int64_t dropped = 0;          // rows left out: no token of theirs is trained

  std::vector<int64_t> lengths() const;  // tokens of each sample
  int64_t tokens() const;
  int64_t supervised_tokens() const;
};

// Reads, tokenises and masks every row, on ATen's threads; the result does not depend on how many there are. Five bytes
// a token stay in memory. No sources give an empty dataset. Throws DataError for bad rows, for a source without rows
// and where no row has a token left to train on (saying why), RecipeError for an unknown format. Rows have labels, of
// `labels`, or none where these are empty; others are a DataError.
Dataset load_dataset(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, int64_t max_length,
                     const Labels& labels = {});

// Every row as an example, with its place in its file. Errors as above.
void visit_examples(const std::vector<DataSource>& sources,
                    const std::function<void(Example example, const std::string& where)>& visit);

// The rows as text, for answering them; also those that load_dataset drops. Errors as above.
std::vector<Example> load_examples(const std::vector<DataSource>& sources);

}  // namespace lora
