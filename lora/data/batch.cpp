#include "lora/data/batch.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "lora/data/packing.h"
#include "lora/data/shuffle.h"
#include "models/error.h"

namespace lora {
namespace {

// Seed and epoch each pass through the generator, so that neighbouring pairs share nothing.
SplitMix64 epoch_random(uint64_t seed, int64_t epoch) {
  return SplitMix64(SplitMix64(SplitMix64(seed).next() ^ static_cast<uint64_t>(epoch)).next());
}

void require_fit(const std::vector<int64_t>& lengths, int64_t max_length) {
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] > max_length) {
      throw DataError("sample " + std::to_string(i) + ": found " + std::to_string(lengths[i]) +
                      " tokens, wanted at most " + std::to_string(max_length));
    }
  }
}

// What the model is to say at token i.
int64_t target_of(const Sample& sample, size_t i) {
  if (sample.label != kNoLabel) return sample.supervised[i] ? sample.label : kIgnoredTarget;
  return i + 1 < sample.ids.size() && sample.supervised[i + 1] ? sample.ids[i + 1] : kIgnoredTarget;
}

}  // namespace

std::vector<Row> plan_epoch(const std::vector<int64_t>& lengths, bool packing, int64_t max_length, bool shuffled,
                            uint64_t seed, int64_t epoch) {
  require_fit(lengths, max_length);
  SplitMix64 random = epoch_random(seed, epoch);
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  if (shuffled) shuffle(order, random);

  std::vector<Row> rows;
  if (!packing) {
    rows.reserve(order.size());
    for (const int64_t sample : order) rows.push_back({{sample}});
    return rows;
  }
  for (auto& bin : pack_best_fit(lengths, order, max_length)) {
    std::sort(bin.begin(), bin.end());
    rows.push_back({std::move(bin)});
  }
  std::sort(rows.begin(), rows.end(),
            [](const Row& left, const Row& right) { return left.samples.front() < right.samples.front(); });
  if (shuffled) shuffle(rows, random);
  return rows;
}

int64_t rows_per_epoch(const std::vector<int64_t>& lengths, bool packing, int64_t max_length) {
  return static_cast<int64_t>(plan_epoch(lengths, packing, max_length, /*shuffled=*/false, 0, 0).size());
}

TrainBatch make_batch(const Dataset& dataset, std::span<const Row> rows, int64_t multiple_of) {
  TrainBatch batch;
  int64_t total = 0;
  for (const Row& row : rows) {
    for (const int64_t index : row.samples) {
      batch.tokens.lengths.push_back(dataset.samples.at(index).length());
      total += batch.tokens.lengths.back();
    }
  }
  const int64_t filler = (multiple_of - total % multiple_of) % multiple_of;
  if (filler > 0) batch.tokens.lengths.push_back(filler);
  batch.tokens.input_ids = at::zeros({total + filler}, at::kLong);
  batch.targets = at::full({total + filler}, kIgnoredTarget, at::kLong);
  auto* input = batch.tokens.input_ids.mutable_data_ptr<int64_t>();
  auto* target = batch.targets.mutable_data_ptr<int64_t>();
  for (const Row& row : rows) {
    for (const int64_t index : row.samples) {
      const Sample& sample = dataset.samples[index];
      for (size_t i = 0; i < sample.ids.size(); ++i) {
        *input++ = sample.ids[i];
        *target = target_of(sample, i);
        batch.supervised += *target++ != kIgnoredTarget;
      }
    }
  }
  return batch;
}

}  // namespace lora
