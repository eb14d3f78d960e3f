#pragma once
// Rows of a recipe's sources as samples, a block of rows at a time: read, made examples, filtered, tokenised and
// masked.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lora/data/config.h"
#include "lora/data/counts.h"
#include "lora/data/dataset.h"
#include "lora/data/encode_options.h"
#include "lora/data/examples.h"
#include "lora/data/labels.h"
#include "lora/data/sample.h"
#include "lora/data/tokenizer.h"

namespace lora {

// Sees all rows that can be used in their order, in blocks, before they are tokenised; may change an example, and
// clears `keep` of those to leave out. Called on one thread, where it may use all of ATen's. What decides what it does
// has to be in the cache's options.
using RowFilter = std::function<void(std::span<ExampleRow> rows)>;

struct SampleOptions {
  int64_t max_length = 512;
  // Rows have labels, of these, or none where these are empty; others cannot be used.
  Labels labels = {};
  DataConfig data = {};  // but for its lists of sources
  RowFilter filter = {};
};

// What a block of rows of one source became.
struct SampleBlock {
  size_t source = 0;
  SourceCounts counts;  // of its rows, but for samples and tokens, which are counted where they are put together
  std::vector<Sample> samples;
};

// On ATen's threads; what is read does not depend on how many there are.
class SampleReader {
 public:
  // The arguments must outlive it.
  SampleReader(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const SampleOptions& options);

  // False at the end. Errors as load_dataset's (load.h), but for those of a whole source or data set.
  bool next(SampleBlock& block);

  // Makes the source that `block` is of the last one of `dataset`, and adds its counts.
  void note(const SampleBlock& block, Dataset& dataset) const;

  // Every file that was read to its end, and what was wrong with the first few rows passed over.
  const std::vector<SourceFile>& files() const { return reader_.files(); }
  const std::vector<std::string>& bad_rows() const { return bad_.first(); }

 private:
  void encode(const ExampleBlock& rows, SampleBlock& block);
  EncodedExample encode(const ExampleRow& row, const EncodeOptions& options) const;

  const std::vector<DataSource>& sources_;
  const Tokenizer& tokenizer_;
  const SampleOptions& options_;
  BadRows bad_;
  ExampleReader reader_;
  ExampleBlock rows_;
  std::vector<std::optional<EncodeOptions>> encode_options_;  // of the sources so far
};

// Throws DataError for a source that the filter leaves nothing of.
void expect_rows_left(const std::vector<SourcePart>& sources);

}  // namespace lora
