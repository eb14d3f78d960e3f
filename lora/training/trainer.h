#pragma once
// Optimizer steps over a dataset. What a step does depends only on the parameters, the optimizer's moments and
// Progress, and the method's own state where it has hooks, so that these are all a checkpoint has to hold: data order
// and dropout follow from the seed and the step.

#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "lora/adapters/training_hooks.h"
#include "lora/data/batch.h"
#include "lora/data/mixing.h"
#include "lora/data/sample_stream.h"
#include "lora/training/adamw.h"
#include "lora/training/config.h"
#include "lora/training/confusion.h"
#include "models/engine/profile.h"
#include "models/network/decoder.h"

namespace lora {

struct MemoryPlan;

struct Progress {
  int64_t step = 0;   // optimizer steps done
  int64_t epoch = 0;  // of the next row; of a stream, its window
  int64_t row = 0;    // next row of that epoch's plan
  int64_t tokens = 0;
  int64_t supervised_tokens = 0;
  double best_loss = std::numeric_limits<double>::infinity();  // lowest validation loss
  int64_t best_step = 0;                                       // 0: no evaluation yet
  int64_t evaluations_without_gain = 0;
};

struct StepMetrics {
  int64_t step;
  double epoch;      // epochs done, with their fraction; of a stream, passes that are over
  double loss;       // mean over the step's supervised tokens
  double grad_norm;  // before clipping
  double lr;         // learning_rate on the schedule
  int64_t tokens, supervised_tokens;
  double flops;  // see flops.h
  double seconds;
  nlohmann::ordered_json method;  // columns of the adapter method's own
};

// Of the validation set.
struct Evaluation {
  double loss;          // mean negative log-likelihood of its supervised tokens, or of its samples' labels
  Confusion confusion;  // empty for a language model
};

class Trainer {
 public:
  // Groups, optimizer and epoch plan for a model whose trained parameters require gradients. `train` and `validation`
  // (may be null) must outlive it. `mixture`: of train's sources. One thread drives it.
  Trainer(LlamaForCausalLM& model, const TrainingConfig& config, const Dataset& train, const Dataset* validation,
          bool shuffle, Mixture mixture = {});
  // Over a stream, which must outlive it and be at its first window. Each window is trained on as an epoch would be;
  // the run's end is config.max_steps.
  Trainer(LlamaForCausalLM& model, const TrainingConfig& config, SampleStream& stream, const Dataset* validation,
          bool shuffle);

  int64_t total_steps() const { return total_steps_; }
  int64_t steps_per_epoch() const;  // of the first epoch; a mixture's differ by a step or two
  const std::vector<ParameterGroup>& groups() const { return groups_; }
  bool has_validation() const { return validation_ != nullptr; }

  // Whether there is a row for another step: always, unless a stream has come to its end. Reads on where it has to.
  bool has_rows();

  // One optimizer step over batch_size rows (fewer at an epoch's end). The loss is exact over all of the step's
  // supervised tokens, however it is split into micro-batches. Throws NumericsError, with the weights as they were,
  // when the loss or the gradient is not finite; DataError where there is no row.
  StepMetrics step();

  // Changes nothing.
  Evaluation evaluate();

  const Progress& progress() const { return progress_; }
  // Notes a validation loss in the progress; true when it is the best so far.
  bool note_evaluation(double loss);
  // The method's part in every step from now on; null: none.
  void set_hooks(std::unique_ptr<TrainingHooks> hooks);
  int64_t method_bytes() const;  // of the hooks' state
  TrainingHooks* hooks() { return hooks_.get(); }

  // Takes up a checkpoint's place; DataError where a stream is too short for it. Parameters, moments and the hooks'
  // state are copied in by the caller, afterwards.
  void resume(const Progress& progress);
  AdamW& optimizer() { return optimizer_; }

  // How steps are computed from now on; before, 512 tokens a pass and nothing twice.
  void set_plan(const MemoryPlan& plan);

  // Collects where the time of steps goes from now on; null: no longer.
  void set_profile(WorkTimes* times) { profile_ = times; }

  // The plan of the current epoch, for a preview.
  const EpochPlan& epoch_rows() const { return rows_; }

 private:
  Trainer(LlamaForCausalLM& model, const TrainingConfig& config, const Dataset& train, SampleStream* stream,
          const Dataset* validation, bool shuffle, Mixture mixture);
  EpochPlan plan_of(int64_t epoch) const;
  int64_t steps_in(double epochs) const;
  void begin_epoch();
  std::pair<int64_t, int64_t> next_rows();  // of rows_: [first, end)

  LlamaForCausalLM& model_;
  TrainingConfig config_;
  const Dataset& train_;
  SampleStream* stream_;  // whose window is train_; null: none
  const Dataset* validation_;
  bool shuffle_;
  Mixture mixture_;
  std::vector<int64_t> lengths_;
  std::vector<ParameterGroup> groups_;
  AdamW optimizer_;
  std::unique_ptr<TrainingHooks> hooks_;
  int64_t steps_per_epoch_, total_steps_;
  Progress progress_;
  int64_t pass_tokens_;
  WorkTimes* profile_ = nullptr;
  EpochPlan rows_;  // the plan of progress_.epoch
};

}  // namespace lora
