#pragma once
// The training loop: when to step, evaluate, save and stop. It writes nothing itself.

#include <functional>
#include <optional>

#include "lora/training/trainer.h"

namespace lora {

struct LoopEvents {
  std::function<void(const StepMetrics&)> on_step;
  std::function<void(const Evaluation&, bool best)> on_evaluation;
  std::function<void()> save;            // writes a checkpoint; called after the same step's on_evaluation
  std::function<bool()> stop_requested;  // called once a step; the same answer for all replicas
  // Calls trainer.evaluate(), for who shows that it goes on; none: it is called directly.
  std::function<Evaluation()> evaluate = {};
  OnPass on_pass = {};  // of each step: see Trainer::step
};

enum class LoopEnd { kDone, kEarlyStopping, kOutOfData, kStopped };

// Does one step and what is due after it, or returns why the run ends where nothing is left to do. An evaluation is due
// every eval_every steps and at the end. A checkpoint is due every checkpoint_every steps, at the end, on a request to
// stop and, with keep_best, after the best validation loss so far. Runs that share a model may call it alternately.
std::optional<LoopEnd> loop_turn(Trainer& trainer, const TrainingConfig& config, const LoopEvents& events);

// Calls loop_turn from trainer.progress() to the end.
LoopEnd run_loop(Trainer& trainer, const TrainingConfig& config, const LoopEvents& events);

}  // namespace lora
