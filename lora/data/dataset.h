#pragma once
// The samples of a recipe's data sources: concatenated tokens in memory or in a mapped file, and an index.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lora/data/counts.h"
#include "lora/data/input.h"
#include "lora/data/sample.h"

namespace lora {

class TokenFile;

// What rows have that is not used, by its name.
struct NamedRows {
  std::string name;
  int64_t rows = 0;  // that have it
  bool operator==(const NamedRows&) const = default;
};

// One source of the recipe. Its samples are [begin, end) of the dataset.
struct SourcePart {
  std::string path, format;
  std::string ground;  // for format `auto`: why this format was chosen
  int64_t begin = 0, end = 0;
  SourceCounts counts;
  // In the order in which rows have them; the first kMostNamed.
  // Columns that hold something and that the source's format does not read; "message.name": keys of messages that the
  // chat template does not look at.
  std::vector<NamedRows> unread = {};
  std::vector<NamedRows> spelled = {};  // special tokens whose names are text in the rows
  bool operator==(const SourcePart&) const = default;
};

// Everything about a dataset except its tokens.
struct DatasetIndex {
  std::vector<int32_t> lengths;  // tokens of each sample
  std::vector<int32_t> labels;
  std::vector<Fork> forks;  // of each sample, and their values; both are empty unless one has them
  std::vector<float> values;
  std::vector<bool> used_ids;  // by id: true if the id occurs; only as long as the highest id needs
  std::vector<SourcePart> sources;
  std::vector<SourceFile> files;      // the files that were read
  std::vector<std::string> bad_rows;  // problems of the first few skipped rows
  std::string notes;                  // text of the caller, stored with the dataset
  int64_t tokens = 0, supervised_tokens = 0;
  int64_t longest = 0;  // tokens of the longest sample
};

// Sources are in order, rows in file order. Takes five bytes per token (in memory or in the file) and sixteen per
// sample.
class Dataset {
 public:
  Dataset() = default;
  // `file` holds the samples one after the other, in the layout of take_packed().
  Dataset(DatasetIndex index, std::shared_ptr<TokenFile> file);

  int64_t size() const { return static_cast<int64_t>(index_.lengths.size()); }
  // The view is valid until the dataset is added to. Thread-safe. Throws StorageError if the file's bytes have changed.
  SampleView operator[](int64_t sample) const;
  std::vector<int64_t> lengths() const { return {index_.lengths.begin(), index_.lengths.end()}; }

  int32_t label(int64_t sample) const { return index_.labels.at(static_cast<size_t>(sample)); }

  const DatasetIndex& index() const { return index_; }
  int64_t tokens() const { return index_.tokens; }
  int64_t supervised_tokens() const { return index_.supervised_tokens; }
  int64_t longest() const { return index_.longest; }
  const std::vector<bool>& used_ids() const { return index_.used_ids; }
  const std::vector<SourcePart>& sources() const { return index_.sources; }
  SourceCounts counts() const;  // sum over all sources
  // Whether its samples are preference pairs.
  bool has_pairs() const { return !index_.forks.empty(); }
  bool mapped() const { return file_ != nullptr; }
  int64_t packed_bytes() const { return end_; }  // bytes of all tokens

  // Appends a sample in memory, to the source that was begun last, if any. The caller counts its rows.
  void add(const SampleView& sample);
  SourcePart& begin_source(const std::string& path);
  SourcePart& last_source() { return index_.sources.back(); }
  DatasetIndex& edit_index() { return index_; }

  // Moves out the tokens added so far, to write them to a file. Layout of a sample: ids (int32), one byte per token (1:
  // target), zeros up to a multiple of four bytes.
  std::vector<std::byte> take_packed();

 private:
  DatasetIndex index_;
  std::vector<int64_t> offsets_;  // start of each sample
  int64_t end_ = 0;
  std::vector<std::byte> packed_;
  std::shared_ptr<TokenFile> file_;
};

// Throws ModelError, with the source and the token, if a sample uses an id for which a model of that many rows has
// none. (A tokenizer may have more ids: a padding token that was added and that no sample uses.)
void expect_rows(const Dataset& dataset, const Tokenizer& tokenizer, int64_t rows);

}  // namespace lora
