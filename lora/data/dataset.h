#pragma once
// The samples of a recipe's data sources, end to end in a few flat arrays.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lora/data/counts.h"
#include "lora/data/sample.h"

namespace lora {

// One source of the recipe: its samples are [begin, end) of the dataset.
struct SourcePart {
  std::string path, format;
  int64_t begin = 0, end = 0;
  SourceCounts counts;
  bool operator==(const SourcePart&) const = default;
};

// Sources in order, rows in file order. Five bytes a token and sixteen a sample.
class Dataset {
 public:
  int64_t size() const { return static_cast<int64_t>(ends_.size()); }
  SampleView operator[](int64_t sample) const;
  std::vector<int64_t> lengths() const;  // tokens of each sample

  int64_t tokens() const { return static_cast<int64_t>(ids_.size()); }
  int64_t supervised_tokens() const { return supervised_tokens_; }
  int64_t longest() const { return longest_; }  // tokens of the longest sample
  // By id: whether it is anywhere; as long as the highest id wants it.
  const std::vector<bool>& used_ids() const { return used_ids_; }

  const std::vector<SourcePart>& sources() const { return sources_; }
  SourceCounts counts() const;  // of all sources

  // At the end; of the last source that begin_source named, if any.
  void add(const SampleView& sample);
  // The samples added from now on are of this source, whose counts of rows are the caller's to keep.
  SourcePart& begin_source(const std::string& path, const std::string& format);
  SourcePart& last_source() { return sources_.back(); }

 private:
  std::vector<int32_t> ids_;
  std::vector<uint8_t> supervised_;
  std::vector<int64_t> ends_;
  std::vector<int32_t> labels_;
  std::vector<bool> used_ids_;
  std::vector<SourcePart> sources_;
  int64_t supervised_tokens_ = 0, longest_ = 0;
};

}  // namespace lora
