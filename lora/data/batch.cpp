#include "lora/data/batch.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "lora/data/packing.h"
#include "lora/data/shuffle.h"
#include "models/base/error.h"

namespace lora {
namespace {

// Seed and epoch pass through the generator one after the other, so that neighbouring pairs are independent.
SplitMix64 epoch_random(uint64_t seed, int64_t epoch) {
  return SplitMix64(SplitMix64(SplitMix64(seed).next() ^ static_cast<uint64_t>(epoch)).next());
}

void require_fit(std::span<const int64_t> lengths, int64_t max_length) {
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] > max_length) {
      throw DataError("sample " + std::to_string(i) + ": found " + std::to_string(lengths[i]) +
                      " tokens, expected at most " + std::to_string(max_length));
    }
  }
}

std::vector<int64_t> counting_up(size_t count) {
  std::vector<int64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// The target at token i.
int64_t target_of(const SampleView& sample, size_t i) {
  if (sample.label != kNoLabel) return sample.supervised[i] ? sample.label : kIgnoredTarget;
  return i + 1 < sample.ids.size() && sample.supervised[i + 1] ? sample.ids[i + 1] : kIgnoredTarget;
}

}  // namespace

std::span<const int64_t> EpochPlan::rows(int64_t begin, int64_t end) const {
  const auto start = [&](int64_t row) { return row == 0 ? 0 : ends_[static_cast<size_t>(row - 1)]; };
  return std::span(samples_).subspan(static_cast<size_t>(start(begin)), static_cast<size_t>(start(end) - start(begin)));
}

void EpochPlan::add_row(std::span<const int64_t> samples) {
  samples_.insert(samples_.end(), samples.begin(), samples.end());
  ends_.push_back(static_cast<int64_t>(samples_.size()));
}

EpochPlan plan_epoch(std::span<const int64_t> lengths, bool packing, int64_t max_length, bool shuffled, uint64_t seed,
                     int64_t epoch, std::span<const int64_t> drawn) {
  require_fit(lengths, max_length);
  SplitMix64 random = epoch_random(seed, epoch);
  // Positions in the epoch. Without `drawn`, they are the samples themselves.
  const size_t count = drawn.empty() ? lengths.size() : drawn.size();
  const auto sample_at = [&](int64_t place) { return drawn.empty() ? place : drawn[static_cast<size_t>(place)]; };
  std::vector<int64_t> order = counting_up(count);
  if (shuffled) shuffle(order, random);

  EpochPlan plan;
  if (!packing) {
    plan.ends_ = counting_up(count + 1);
    plan.ends_.erase(plan.ends_.begin());
    for (int64_t& place : order) place = sample_at(place);
    plan.samples_ = std::move(order);
    return plan;
  }
  std::vector<int64_t> drawn_lengths(drawn.size());
  for (size_t i = 0; i < drawn.size(); ++i) drawn_lengths[i] = lengths[static_cast<size_t>(drawn[i])];
  const std::vector<int64_t> row_of =
      pack_best_fit(drawn.empty() ? lengths : std::span<const int64_t>(drawn_lengths), order, max_length);
  std::vector<int64_t> sizes;
  for (const int64_t row : row_of) {
    if (static_cast<size_t>(row) == sizes.size()) sizes.push_back(0);
    ++sizes[static_cast<size_t>(row)];
  }
  std::vector<int64_t> rows = counting_up(sizes.size());
  if (shuffled) shuffle(rows, random);
  std::vector<int64_t> next(sizes.size());  // row -> position of its next sample
  int64_t end = 0;
  for (const int64_t row : rows) {
    next[static_cast<size_t>(row)] = end;
    plan.ends_.push_back(end += sizes[static_cast<size_t>(row)]);
  }
  plan.samples_.resize(count);
  for (size_t place = 0; place < count; ++place) {
    plan.samples_[static_cast<size_t>(next[static_cast<size_t>(row_of[place])]++)] =
        sample_at(static_cast<int64_t>(place));
  }
  return plan;
}

int64_t rows_per_epoch(std::span<const int64_t> lengths, bool packing, int64_t max_length) {
  return plan_epoch(lengths, packing, max_length, /*shuffled=*/false, 0, 0).size();
}

TrainBatch make_batch(const Dataset& dataset, std::span<const int64_t> samples, int64_t multiple_of) {
  TrainBatch batch;
  int64_t total = 0;
  for (const int64_t index : samples) {
    batch.tokens.lengths.push_back(dataset[index].length());
    total += batch.tokens.lengths.back();
  }
  const int64_t filler = (multiple_of - total % multiple_of) % multiple_of;
  if (filler > 0) batch.tokens.lengths.push_back(filler);
  batch.tokens.input_ids = at::zeros({total + filler}, at::kLong);
  batch.targets = at::full({total + filler}, kIgnoredTarget, at::kLong);
  auto* input = batch.tokens.input_ids.mutable_data_ptr<int64_t>();
  auto* target = batch.targets.mutable_data_ptr<int64_t>();
  for (const int64_t index : samples) {
    const SampleView sample = dataset[index];
    for (size_t i = 0; i < sample.ids.size(); ++i) {
      *input++ = sample.ids[i];
      *target = target_of(sample, i);
      batch.supervised += *target++ != kIgnoredTarget;
    }
  }
  return batch;
}

}  // namespace lora
