#pragma once
// Which rows each step trains on: the order of an epoch, a mixture of sources, a stream. All of it follows from the
// seed and the place, so that a place is all that a checkpoint keeps.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lora/data/batch.h"
#include "lora/data/mixing.h"
#include "lora/data/sample_stream.h"
#include "lora/training/config.h"
#include "lora/training/passes.h"

namespace lora {

struct RowPlace {
  int64_t epoch = 0;  // of a stream: the window
  int64_t row = 0;    // the next one of that epoch
  bool operator==(const RowPlace&) const = default;
};

// The rows of one step. Valid until the cursor moves.
struct StepRows {
  std::span<const int64_t> samples;  // of all rows, in order
  std::vector<Pass> passes;          // the same samples
};

class RowCursor {
 public:
  // At the first row. `config`: seed, batch_size, micro_batch_size, packing and max_length. `data` must outlive the
  // cursor. `mixture`: of data's sources.
  RowCursor(const Dataset& data, const TrainingConfig& config, bool shuffle, Mixture mixture = {});
  // Over a stream, which must be at its first window and outlive the cursor. Each window is read as an epoch is.
  RowCursor(SampleStream& stream, const TrainingConfig& config, bool shuffle);

  // Whether there is a row for another step: always, unless a stream has ended. May read a stream's next window; the
  // place is then that window's start.
  bool has_next();
  // The next batch_size rows, fewer at an epoch's end, in passes of at most `pass_tokens` tokens or of
  // micro_batch_size rows. Throws DataError where there is no row.
  StepRows next(int64_t pass_tokens);
  // What next() would return, where that is of the place's epoch: the cursor does not move.
  std::optional<StepRows> ahead(int64_t pass_tokens) const;

  const RowPlace& place() const { return place_; }
  // Goes to a place of this data. Returns false where there is none, or a stream ends before it; the cursor is then of no
  // use.
  bool seek(const RowPlace& place);

  const Dataset& data() const { return *data_; }         // of a stream: the window
  const EpochPlan& epoch_rows() const { return rows_; }  // of the place's epoch
  double epochs_done() const;                            // with their fraction; of a stream: whole passes over it
  int64_t steps_per_epoch() const { return steps_per_epoch_; }  // of the first one; a mixture's differ by a step or two
  int64_t steps_in(double epochs) const;

 private:
  RowCursor(const Dataset& data, SampleStream* stream, const TrainingConfig& config, bool shuffle, Mixture mixture);
  EpochPlan plan_of(int64_t epoch) const;
  int64_t step_end() const;
  void begin_epoch(int64_t epoch);

  const Dataset* data_;
  SampleStream* stream_;  // whose window is *data_; null: none
  TrainingConfig config_;
  bool shuffle_;
  Mixture mixture_;
  std::vector<int64_t> lengths_;  // of *data_'s samples
  EpochPlan rows_;                // of place_.epoch
  RowPlace place_;
  int64_t steps_per_epoch_;
};

}  // namespace lora
