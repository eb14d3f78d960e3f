#include "lora/training/loop.h"

#include <cmath>

#include "models/base/error.h"

namespace lora {

std::optional<LoopEnd> loop_turn(Trainer& trainer, const TrainingConfig& config, const LoopEvents& events) {
  const auto out_of_patience = [&] {
    return config.early_stopping_patience > 0 &&
           trainer.progress().evaluations_without_gain >= config.early_stopping_patience;
  };
  if (out_of_patience()) return LoopEnd::kEarlyStopping;
  if (trainer.progress().step >= trainer.total_steps()) return LoopEnd::kDone;
  if (!trainer.has_rows()) return LoopEnd::kOutOfData;
  events.on_step(trainer.step());
  const int64_t step = trainer.progress().step;
  const bool last = step == trainer.total_steps() || !trainer.has_rows();

  bool best = false;
  if (trainer.has_validation() && (last || (config.eval_every > 0 && step % config.eval_every == 0))) {
    const Evaluation evaluation = trainer.evaluate();
    if (!std::isfinite(evaluation.loss)) {
      throw NumericsError("step " + std::to_string(step) + ": the validation loss is " +
                          std::to_string(evaluation.loss));
    }
    best = trainer.note_evaluation(evaluation.loss);
    events.on_evaluation(evaluation, best);
  }
  const bool stop = events.stop_requested();
  const bool due = config.checkpoint_every > 0 && step % config.checkpoint_every == 0;
  if (due || last || stop || out_of_patience() || (best && config.keep_best)) events.save();
  if (stop && !last) return LoopEnd::kStopped;
  return std::nullopt;
}

LoopEnd run_loop(Trainer& trainer, const TrainingConfig& config, const LoopEvents& events) {
  std::optional<LoopEnd> end;
  while (!end) end = loop_turn(trainer, config, events);
  return *end;
}

}  // namespace lora
