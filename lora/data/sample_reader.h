#pragma once
// Reads the rows of a recipe's sources as samples, one block of rows at a time: builds examples, filters, tokenises and
// masks them.

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

// Receives all usable rows in order, in blocks, before they are tokenised. It may change an example, and clears `keep`
// of a row to drop. Called on one thread, from which it may use all of ATen's threads. The cache's options must contain
// everything that determines its result.
using RowFilter = std::function<void(std::span<ExampleRow> rows)>;

struct SampleOptions {
  int64_t max_length = 512;
  // The labels that rows must have. Empty: rows must not have labels. Other rows are unusable.
  Labels labels = {};
  DataConfig data = {};  // without its lists of sources
  RowFilter filter = {};
};

// The samples of a block of rows of one source.
struct SampleBlock {
  size_t source = 0;
  SourceCounts counts;                     // of its rows, except samples and tokens, which the caller counts
  std::vector<NamedRows> unread, spelled;  // as in SourcePart
  std::vector<Sample> samples;
};

// Runs on ATen's threads. The result does not depend on their number.
class SampleReader {
 public:
  // The arguments must outlive it.
  SampleReader(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const SampleOptions& options);

  // Returns false at the end. Throws the errors of load_dataset (load.h), except those about a whole source or dataset.
  bool next(SampleBlock& block);

  // Makes the block's source the last one of `dataset`, and adds the block's counts to it.
  void note(const SampleBlock& block, Dataset& dataset) const;

  // All files that were read to their end, and the problems of the first few skipped rows.
  const std::vector<SourceFile>& files() const { return reader_.files(); }
  const std::vector<std::string>& bad_rows() const { return bad_.first(); }
  // About how many bytes of all files the rows so far took.
  int64_t bytes_read() const { return reader_.bytes_read(); }

 private:
  void encode(const ExampleBlock& rows, SampleBlock& block);
  EncodedExample encode(const ExampleRow& row, const EncodeOptions& options) const;

  const std::vector<DataSource>& sources_;
  const Tokenizer& tokenizer_;
  const SampleOptions& options_;
  BadRows bad_;
  ExampleReader reader_;
  ExampleBlock rows_;
  std::shared_ptr<const SpelledTokens> spelled_;
  std::vector<std::optional<EncodeOptions>> encode_options_;  // per source so far
};

// Throws DataError for a source whose rows were all filtered out.
void expect_rows_left(const std::vector<SourcePart>& sources);

}  // namespace lora
