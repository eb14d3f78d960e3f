#pragma once
// Which samples a step sees, and the tensors it sees them as.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "lora/data/dataset.h"
#include "models/token_batch.h"

namespace lora {

// Samples that count as one sequence of a batch: one, or several packed together. None of them sees another.
struct Row {
  std::vector<int64_t> samples;  // indices into a dataset
};

// The rows of one epoch in order; each sample is in exactly one. A function of its arguments alone, the same on every
// platform, so a run finds its place again from (seed, epoch, row).
// packing: best-fit decreasing in O(n log max_length); no row holds more than max_length tokens.
// shuffled: row order, and which of the samples of equal length share a row, follow from seed and epoch; without it,
// rows are in the order of their first samples. Throws DataError for a sample longer than max_length.
std::vector<Row> plan_epoch(const std::vector<int64_t>& lengths, bool packing, int64_t max_length, bool shuffled,
                            uint64_t seed, int64_t epoch);

// How many rows plan_epoch gives: the same in every epoch, for packing depends on the lengths alone.
int64_t rows_per_epoch(const std::vector<int64_t>& lengths, bool packing, int64_t max_length);

constexpr int64_t kIgnoredTarget = -100;

struct TrainBatch {
  TokenBatch tokens;
  // (N) int64: the id of the next token of the same sample, or the sample's label at its last token; kIgnoredTarget
  // where not trained.
  at::Tensor targets;
  int64_t supervised = 0;  // targets that are not ignored
};

// The rows' samples back to back, in order, on the CPU; then, where that is no multiple of `multiple_of` tokens, one
// sample of zeros that fills it up: nothing in it is trained, so it changes neither loss nor gradients.
TrainBatch make_batch(const Dataset& dataset, std::span<const Row> rows, int64_t multiple_of = 1);

}  // namespace lora
