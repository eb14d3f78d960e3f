#pragma once
// Selects the samples of a step and builds their tensors.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "lora/data/dataset.h"
#include "models/network/token_batch.h"

namespace lora {

// The rows of an epoch in order. A row counts as one sequence of a batch. It is one sample, or several packed samples
// that do not attend to each other.
class EpochPlan {
 public:
  int64_t size() const { return static_cast<int64_t>(ends_.size()); }
  bool empty() const { return ends_.empty(); }
  // The samples of a row, as indices into a dataset.
  std::span<const int64_t> operator[](int64_t row) const { return rows(row, row + 1); }
  // The samples of the rows [begin, end), concatenated.
  std::span<const int64_t> rows(int64_t begin, int64_t end) const;
  void add_row(std::span<const int64_t> samples);

 private:
  friend EpochPlan plan_epoch(std::span<const int64_t>, bool, int64_t, bool, uint64_t, int64_t,
                              std::span<const int64_t>);
  std::vector<int64_t> samples_, ends_;
};

// Depends only on its arguments and is the same on every platform, so a resumed run continues from (seed, epoch, row).
// `lengths`: tokens of each sample of the dataset. `drawn`: the samples of this epoch, possibly repeated; empty: each
// sample once. `packing`: best-fit decreasing, O(n log max_length); no row exceeds max_length tokens. `shuffled`: seed
// and epoch determine the row order and which samples of equal length share a row; otherwise rows are in the order of
// their first samples. Throws DataError for a sample longer than max_length.
EpochPlan plan_epoch(std::span<const int64_t> lengths, bool packing, int64_t max_length, bool shuffled, uint64_t seed,
                     int64_t epoch, std::span<const int64_t> drawn = {});

// The number of rows of plan_epoch. It is the same for every epoch that has each sample once, because packing depends
// only on the lengths.
int64_t rows_per_epoch(std::span<const int64_t> lengths, bool packing, int64_t max_length);

struct TrainBatch {
  TokenBatch tokens;
  // (N) int64: the id of the next token in the same sample, or the sample's label at its last token; kIgnoredTarget
  // where the model is not trained.
  at::Tensor targets;
  int64_t supervised = 0;  // number of targets that are not ignored
};

// Concatenates the samples, in order, on the CPU. Pads to a multiple of `multiple_of` tokens with one sample of zeros
// without targets, which changes neither the loss nor the gradients.
TrainBatch make_batch(const Dataset& dataset, std::span<const int64_t> samples, int64_t multiple_of = 1);

}  // namespace lora
