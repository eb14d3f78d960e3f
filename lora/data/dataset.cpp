#include "lora/data/dataset.h"

#include <algorithm>

namespace lora {

SampleView Dataset::operator[](int64_t sample) const {
  const auto index = static_cast<size_t>(sample);
  const auto begin = static_cast<size_t>(index == 0 ? 0 : ends_.at(index - 1));
  const size_t length = static_cast<size_t>(ends_.at(index)) - begin;
  return {std::span(ids_).subspan(begin, length), std::span(supervised_).subspan(begin, length), labels_[index]};
}

std::vector<int64_t> Dataset::lengths() const {
  std::vector<int64_t> lengths = ends_;
  for (size_t i = lengths.size(); i-- > 1;) lengths[i] -= lengths[i - 1];
  return lengths;
}

SourceCounts Dataset::counts() const {
  SourceCounts all;
  for (const SourcePart& source : sources_) all += source.counts;
  return all;
}

void Dataset::add(const SampleView& sample) {
  ids_.insert(ids_.end(), sample.ids.begin(), sample.ids.end());
  supervised_.insert(supervised_.end(), sample.supervised.begin(), sample.supervised.end());
  ends_.push_back(tokens());
  labels_.push_back(sample.label);
  for (const int32_t id : sample.ids) {
    const auto index = static_cast<size_t>(id);
    if (index >= used_ids_.size()) used_ids_.resize(index + 1);
    used_ids_[index] = true;
  }
  const int64_t trained = std::ranges::count(sample.supervised, uint8_t{1});
  supervised_tokens_ += trained;
  longest_ = std::max(longest_, sample.length());
  if (sources_.empty()) return;
  SourcePart& source = sources_.back();
  source.end = size();
  ++source.counts.samples;
  source.counts.tokens += sample.length();
  source.counts.supervised += trained;
}

SourcePart& Dataset::begin_source(const std::string& path, const std::string& format) {
  return sources_.emplace_back(SourcePart{path, format, size(), size(), {}});
}

}  // namespace lora
