#pragma once
// The training loop: steps, evaluations, checkpoints and the reasons to stop. It writes nothing itself.

#include <functional>
#include <optional>

#include "lora/training/trainer.h"

namespace lora {

struct LoopEvents {
  std::function<void(const StepMetrics&)> on_step;
  std::function<void(const Evaluation&, bool best)> on_evaluation;
  // Keep the trainer's state now; called after the evaluation of the same step.
  std::function<void()> save;
  std::function<bool()> stop_requested;  // asked once a step
};

enum class LoopEnd { kDone, kEarlyStopping, kOutOfData, kStopped };

// One step of the trainer's and what is due after it; the reason to end where there is nothing left to do. A checkpoint
// is due every checkpoint_every steps, at the end, when asked to stop and, with keep_best, where the validation loss is
// the best so far. Loops on one model may take turns by it.
std::optional<LoopEnd> loop_turn(Trainer& trainer, const TrainingConfig& config, const LoopEvents& events);

// Turns from trainer.progress() to the end.
LoopEnd run_loop(Trainer& trainer, const TrainingConfig& config, const LoopEvents& events);

}  // namespace lora
