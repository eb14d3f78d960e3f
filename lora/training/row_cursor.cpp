#include "lora/training/row_cursor.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "models/base/error.h"
#include "models/base/numbers.h"

namespace lora {

RowCursor::RowCursor(const Dataset& data, const TrainingConfig& config, bool shuffle, Mixture mixture)
    : RowCursor(data, nullptr, config, shuffle, std::move(mixture)) {}

RowCursor::RowCursor(SampleStream& stream, const TrainingConfig& config, bool shuffle)
    : RowCursor(stream.window(), &stream, config, shuffle, {}) {}

RowCursor::RowCursor(const Dataset& data, SampleStream* stream, const TrainingConfig& config, bool shuffle,
                     Mixture mixture)
    : data_(&data),
      stream_(stream),
      config_(config),
      shuffle_(shuffle),
      mixture_(std::move(mixture)),
      lengths_(data.lengths()),
      rows_(plan_of(0)),
      steps_per_epoch_(ceil_div(rows_.size(), config.batch_size)) {}

EpochPlan RowCursor::plan_of(int64_t epoch) const {
  const RowShape shape = row_shape(*data_, config_);
  return plan_epoch(lengths_, shape.packing, shape.max_length, shuffle_, config_.seed, epoch, mixture_.draw(epoch));
}

int64_t RowCursor::steps_in(double epochs) const {
  const auto part_of = [](double part, int64_t steps) {
    return static_cast<int64_t>(std::ceil(part * static_cast<double>(steps) - 1e-9));
  };
  if (epochs * static_cast<double>(steps_per_epoch_) > INT32_MAX) {
    throw RecipeError("training.epochs: expected at most " + std::to_string(INT32_MAX) + " steps in all, found " +
                      std::to_string(steps_per_epoch_) + " in each epoch");
  }
  // Each epoch of a mixture has other rows, so each is drawn to count its steps.
  constexpr double kMostDrawnEpochs = 10'000;
  if (!mixture_.plain() && epochs > kMostDrawnEpochs) {
    throw RecipeError("training.epochs: expected at most 10000 where sources are mixed; set training.max_steps");
  }
  if (mixture_.plain()) return part_of(epochs, steps_per_epoch_);  // the same in every epoch
  int64_t steps = 0;
  for (int64_t epoch = 0; static_cast<double>(epoch) < epochs; ++epoch) {
    const int64_t whole = ceil_div(plan_of(epoch).size(), config_.batch_size);
    steps += part_of(std::min(1.0, epochs - static_cast<double>(epoch)), whole);
  }
  return steps;
}

bool RowCursor::seek(const RowPlace& place) {
  if (stream_ && !stream_->seek(place.epoch)) return false;
  if (place.epoch != place_.epoch) begin_epoch(place.epoch);
  // Whoever reads a stream again knows better than its number of rows whether it is the same.
  if (place.row < 0 || (!stream_ && place.row > rows_.size())) return false;
  place_.row = place.row;
  return true;
}

bool RowCursor::has_next() {
  if (!stream_ || place_.row < rows_.size()) return true;
  if (!stream_->seek(place_.epoch + 1)) return false;
  begin_epoch(place_.epoch + 1);
  return true;
}

void RowCursor::begin_epoch(int64_t epoch) {
  if (stream_) lengths_ = data_->lengths();
  place_ = {epoch, 0};
  rows_ = plan_of(epoch);
}

StepRows RowCursor::next(int64_t pass_tokens) {
  if (!has_next()) throw DataError("the training data has ended; a step needs at least one row");
  if (place_.row >= rows_.size()) begin_epoch(place_.epoch + 1);
  StepRows rows = *ahead(pass_tokens);
  place_.row = step_end();
  return rows;
}

std::optional<StepRows> RowCursor::ahead(int64_t pass_tokens) const {
  if (place_.row >= rows_.size()) return std::nullopt;
  return StepRows{rows_.rows(place_.row, step_end()),
                  split_into_passes(rows_, place_.row, step_end(), lengths_, config_.micro_batch_size, pass_tokens)};
}

// Behind the rows of the next step of this epoch.
int64_t RowCursor::step_end() const { return std::min(place_.row + config_.batch_size, rows_.size()); }

double RowCursor::epochs_done() const {
  if (stream_) return static_cast<double>(stream_->passes());
  return static_cast<double>(place_.epoch) + static_cast<double>(place_.row) / static_cast<double>(rows_.size());
}

}  // namespace lora
