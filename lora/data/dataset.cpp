#include "lora/data/dataset.h"

#include <algorithm>
#include <cstring>

#include "lora/data/token_file.h"
#include "models/base/error.h"

namespace lora {
namespace {

int64_t bytes_of(int64_t tokens) { return 4 * tokens + (tokens + 3) / 4 * 4; }

}  // namespace

Dataset::Dataset(DatasetIndex index, std::shared_ptr<TokenFile> file)
    : index_(std::move(index)), file_(std::move(file)) {
  offsets_.reserve(index_.lengths.size());
  for (const int32_t length : index_.lengths) {
    offsets_.push_back(end_);
    end_ += bytes_of(length);
  }
}

SampleView Dataset::operator[](int64_t sample) const {
  const auto i = static_cast<size_t>(sample);
  const auto offset = static_cast<size_t>(offsets_.at(i));
  const auto length = static_cast<size_t>(index_.lengths[i]);
  const std::byte* begin = file_ ? file_->checked(offset, 5 * length) : packed_.data() + offset;
  SampleView view{{reinterpret_cast<const int32_t*>(begin), length},
                  {reinterpret_cast<const uint8_t*>(begin) + 4 * length, length},
                  index_.labels[i]};
  if (!index_.forks.empty()) view.fork = index_.forks[i];
  if (!index_.values.empty()) view.value = index_.values[i];
  return view;
}

SourceCounts Dataset::counts() const {
  SourceCounts all;
  for (const SourcePart& source : index_.sources) all += source.counts;
  return all;
}

void Dataset::add(const SampleView& sample) {
  const size_t length = sample.ids.size(), at = packed_.size();
  packed_.resize(at + static_cast<size_t>(bytes_of(sample.length())));
  if (length > 0) {
    std::memcpy(packed_.data() + at, sample.ids.data(), 4 * length);
    std::memcpy(packed_.data() + at + 4 * length, sample.supervised.data(), length);
  }
  offsets_.push_back(end_);
  end_ += bytes_of(sample.length());

  index_.lengths.push_back(static_cast<int32_t>(length));
  index_.labels.push_back(sample.label);
  // As long as the others as soon as a sample needs them.
  if (sample.fork.second != 0) index_.forks.resize(index_.lengths.size() - 1);
  if (sample.value != 0) index_.values.resize(index_.lengths.size() - 1);
  if (sample.fork.second != 0 || !index_.forks.empty()) index_.forks.push_back(sample.fork);
  if (sample.value != 0 || !index_.values.empty()) index_.values.push_back(sample.value);
  for (const int32_t id : sample.ids) {
    const auto place = static_cast<size_t>(id);
    if (place >= index_.used_ids.size()) index_.used_ids.resize(place + 1);
    index_.used_ids[place] = true;
  }
  index_.tokens += sample.length();
  const int64_t trained = std::ranges::count(sample.supervised, uint8_t{1});
  index_.supervised_tokens += trained;
  index_.longest = std::max(index_.longest, sample.length());
  if (index_.sources.empty()) return;
  SourcePart& source = index_.sources.back();
  source.end = size();
  ++source.counts.samples;
  source.counts.tokens += sample.length();
  source.counts.supervised += trained;
}

SourcePart& Dataset::begin_source(const std::string& path) {
  SourcePart& source = index_.sources.emplace_back();
  source.path = path;
  source.begin = source.end = size();
  return source;
}

void expect_rows(const Dataset& dataset, const Tokenizer& tokenizer, int64_t rows) {
  if (static_cast<int64_t>(dataset.used_ids().size()) <= rows) return;
  for (const SourcePart& source : dataset.sources()) {
    for (int64_t i = source.begin; i < source.end; ++i) {
      const std::span<const int32_t> ids = dataset[i].ids;
      const auto beyond = std::ranges::find_if(ids, [rows](int32_t id) { return id >= rows; });
      if (beyond != ids.end())
        throw ModelError(source.path + ": a sample uses " + row_problem(tokenizer, *beyond, rows));
    }
  }
}

std::vector<std::byte> Dataset::take_packed() { return std::exchange(packed_, {}); }

}  // namespace lora
