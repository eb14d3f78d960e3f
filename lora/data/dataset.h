#pragma once
// The samples of a recipe's data sources: their tokens end to end in memory or in a mapped file, and an index to them.

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

// One source of the recipe: its samples are [begin, end) of the dataset.
struct SourcePart {
  std::string path, format;
  std::string ground;  // format `auto`: why it is this one
  int64_t begin = 0, end = 0;
  SourceCounts counts;
  bool operator==(const SourcePart&) const = default;
};

// All there is to know of a dataset but its tokens.
struct DatasetIndex {
  std::vector<int32_t> lengths;  // tokens of each sample
  std::vector<int32_t> labels;
  std::vector<bool> used_ids;  // by id: whether it is anywhere; as long as the highest id wants it
  std::vector<SourcePart> sources;
  std::vector<SourceFile> files;      // that were read
  std::vector<std::string> bad_rows;  // what was wrong with the first few of those passed over
  std::string notes;                  // of whoever had it made, to be found again with it
  int64_t tokens = 0, supervised_tokens = 0;
  int64_t longest = 0;  // tokens of the longest sample
};

// Sources in order, rows in file order. Five bytes a token, in memory or in the file, and sixteen a sample.
class Dataset {
 public:
  Dataset() = default;
  // Of a file that has the samples one after the other as `packed` below lays them out.
  Dataset(DatasetIndex index, std::shared_ptr<TokenFile> file);

  int64_t size() const { return static_cast<int64_t>(index_.lengths.size()); }
  // Lives as long as this dataset is not added to. May be called from several threads. Throws StorageError where the
  // file no longer holds what was written.
  SampleView operator[](int64_t sample) const;
  std::vector<int64_t> lengths() const { return {index_.lengths.begin(), index_.lengths.end()}; }

  int32_t label(int64_t sample) const { return index_.labels.at(static_cast<size_t>(sample)); }

  const DatasetIndex& index() const { return index_; }
  int64_t tokens() const { return index_.tokens; }
  int64_t supervised_tokens() const { return index_.supervised_tokens; }
  int64_t longest() const { return index_.longest; }
  const std::vector<bool>& used_ids() const { return index_.used_ids; }
  const std::vector<SourcePart>& sources() const { return index_.sources; }
  SourceCounts counts() const;  // of all sources
  bool mapped() const { return file_ != nullptr; }
  int64_t packed_bytes() const { return end_; }  // of all tokens

  // At the end, in memory; of the last source that was begun, if any, whose counts of rows are the caller's to keep.
  void add(const SampleView& sample);
  SourcePart& begin_source(const std::string& path);
  SourcePart& last_source() { return index_.sources.back(); }
  DatasetIndex& edit_index() { return index_; }

  // Gives the tokens added so far away, for a file that is being written: a sample's ids, int32, then a byte a token, 1
  // where it is a target, then zeros up to a multiple of four bytes.
  std::vector<std::byte> take_packed();

 private:
  DatasetIndex index_;
  std::vector<int64_t> offsets_;  // where each sample begins
  int64_t end_ = 0;
  std::vector<std::byte> packed_;
  std::shared_ptr<TokenFile> file_;
};

}  // namespace lora
