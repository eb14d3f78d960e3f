#pragma once
// Which samples a step sees, and the tensors it sees them as.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "lora/data/dataset.h"
#include "models/network/token_batch.h"

namespace lora {

// The rows of an epoch in order. A row is what counts as one sequence of a batch: one sample, or several packed
// together, none of which sees another.
class EpochPlan {
 public:
  int64_t size() const { return static_cast<int64_t>(ends_.size()); }
  bool empty() const { return ends_.empty(); }
  // Indices into a dataset.
  std::span<const int64_t> operator[](int64_t row) const { return rows(row, row + 1); }
  // Of the rows [begin, end), back to back.
  std::span<const int64_t> rows(int64_t begin, int64_t end) const;
  void add_row(std::span<const int64_t> samples);

 private:
  friend EpochPlan plan_epoch(std::span<const int64_t>, bool, int64_t, bool, uint64_t, int64_t,
                              std::span<const int64_t>);
  std::vector<int64_t> samples_, ends_;
};

// A function of its arguments alone, the same on every platform, so a run finds its place again from (seed, epoch,
// row). lengths: of each sample of the dataset. drawn: the samples of this epoch, where they are not each one once; one
// that is drawn twice is in two places. packing: best-fit decreasing in O(n log max_length); no row holds more than
// max_length tokens. shuffled: row order, and which of the samples of equal length share a row, follow from seed and
// epoch; without it, rows are in the order of their first samples. Throws DataError for a sample longer than
// max_length.
EpochPlan plan_epoch(std::span<const int64_t> lengths, bool packing, int64_t max_length, bool shuffled, uint64_t seed,
                     int64_t epoch, std::span<const int64_t> drawn = {});

// How many rows plan_epoch gives: the same in every epoch that draws each sample once, for packing depends on the
// lengths alone.
int64_t rows_per_epoch(std::span<const int64_t> lengths, bool packing, int64_t max_length);

struct TrainBatch {
  TokenBatch tokens;
  // (N) int64: the id of the next token of the same sample, or the sample's label at its last token; kIgnoredTarget
  // where not trained.
  at::Tensor targets;
  int64_t supervised = 0;  // targets that are not ignored
};

// The samples back to back, in order, on the CPU; then, where that is no multiple of `multiple_of` tokens, one sample
// of zeros that fills it up: nothing in it is trained, so it changes neither loss nor gradients.
TrainBatch make_batch(const Dataset& dataset, std::span<const int64_t> samples, int64_t multiple_of = 1);

}  // namespace lora
