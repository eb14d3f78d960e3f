#include "lora/app/training/start_notes.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "lora/terminal/text.h"
#include "lora/training/schedules.h"

namespace lora {
namespace {

std::string positions_note(const PlannedRun& run) {
  const int64_t length = run.recipe().training.max_length, positions = run.model().config().max_position_embeddings;
  if (length <= positions) return "";
  const std::string longest =
      run.prepared.streams() ? ""
      : run.prepared.train().longest() > positions
          ? "; the longest sample has " + with_commas(run.prepared.train().longest()) + " tokens"
          : "; no sample is longer than those";
  return "training.max_length " + with_commas(length) + " is more than the " + with_commas(positions) +
         " positions that the model was made for" + longest;
}

std::string batch_note(const PlannedRun& run) {
  const int64_t batch = run.recipe().training.batch_size, rows = run.trainer->rows().epoch_rows().size();
  if (batch <= rows || run.prepared.streams()) return "";
  return "training.batch_size " + with_commas(batch) + " is more than the " + with_commas(rows) +
         (rows == 1 ? " row" : " rows") + " of an epoch" +
         (run.recipe().training.packing && !learns_preferences(run.recipe().data.trains)
              ? " (several samples are packed into one)"
              : "") +
         ": a step takes " + with_commas(rows);
}

std::string evaluation_note(const PlannedRun& run) {
  const int64_t every = run.recipe().training.eval_every;
  if (every == 0 || run.trainer->has_validation()) return "";
  return "training.eval_every " + with_commas(every) +
         " has no effect without data.validation; data.validation_split: 0.1 takes rows of data.train";
}

std::string prepared_note(const PlannedRun& run) {
  const DataConfig& data = run.recipe().data;
  if (!run.prepared.data->prepared || !data.validation.empty()) return "";
  const std::filesystem::path directory = data.train.front().path, file = directory / "validation.safetensors";
  if (!std::filesystem::exists(file)) return "";
  return file.string() + " is not read; data.validation: [{path: " + directory.string() + "}] evaluates on it";
}

std::string rate_note(const PlannedRun& run) {
  if (!run.prepared.directory || !run.prepared.directory->resume_from()) return "";
  const Checkpoint& checkpoint = *run.prepared.directory->resume_from();
  const TrainingConfig before = load_stored_recipe(checkpoint.directory / "recipe.yaml").training;
  const TrainingConfig& now = run.recipe().training;
  if (before.learning_rate != now.learning_rate) return "";  // allowed_changes() says it
  const auto rate = [&](const TrainingConfig& training) {
    const int64_t steps = training.max_steps ? *training.max_steps : run.trainer->rows().steps_in(*training.epochs);
    return training.learning_rate * Schedule(training, steps)(checkpoint.step);
  };
  const double was = rate(before), is = rate(now);
  if (checkpoint.step >= run.trainer->total_steps() || std::abs(was - is) <= 1e-9 * std::max(was, is)) return "";
  return "step " + std::to_string(checkpoint.step + 1) + " has a learning rate of " + as_scientific(is) +
         ", where the run so far had come to " + as_scientific(was);
}

}  // namespace

std::vector<std::string> start_notes(const PlannedRun& run) {
  std::vector<std::string> notes;
  for (const auto note : {positions_note, batch_note, evaluation_note, prepared_note, rate_note}) {
    if (std::string text = note(run); !text.empty()) notes.push_back(std::move(text));
  }
  return notes;
}

}  // namespace lora
