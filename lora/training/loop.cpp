#include "lora/training/loop.h"

#include <cmath>

#include "lora/training/early_stopping.h"
#include "models/base/error.h"

namespace lora {
namespace {

void expect_finite(const Evaluation& evaluation, int64_t step) {
  if (std::isfinite(evaluation.loss)) return;
  throw NumericsError("step " + std::to_string(step) + ": the validation loss is " + std::to_string(evaluation.loss));
}

}  // namespace

std::optional<LoopEnd> loop_turn(Trainer& trainer, const TrainingConfig& config, const LoopEvents& events) {
  const auto due = [&](int64_t every) { return every > 0 && trainer.progress().step % every == 0; };
  const auto impatient = [&] { return out_of_patience(trainer.progress(), config.early_stopping_patience); };
  if (impatient()) return LoopEnd::kEarlyStopping;
  if (trainer.progress().step >= trainer.total_steps()) return LoopEnd::kDone;
  if (!trainer.has_rows()) return LoopEnd::kOutOfData;

  events.on_step(trainer.step(events.on_pass));
  const bool last = trainer.progress().step == trainer.total_steps() || !trainer.has_rows();
  bool best = false;
  if (trainer.has_validation() && (last || due(config.eval_every))) {
    const Evaluation evaluation = events.evaluate ? events.evaluate() : trainer.evaluate();
    expect_finite(evaluation, trainer.progress().step);
    best = trainer.record(evaluation);
    events.on_evaluation(evaluation, best);
  }
  const bool stop = events.stop_requested();
  if (last || stop || impatient() || due(config.checkpoint_every) || (best && config.keep_best)) events.save();
  if (stop && !last) return LoopEnd::kStopped;
  return std::nullopt;
}

LoopEnd run_loop(Trainer& trainer, const TrainingConfig& config, const LoopEvents& events) {
  std::optional<LoopEnd> end;
  while (!end) end = loop_turn(trainer, config, events);
  return *end;
}

}  // namespace lora
