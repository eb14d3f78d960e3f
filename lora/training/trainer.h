#pragma once
// Optimizer steps over a dataset. A step depends only on the parameters, the optimizer's moments, Progress and the
// method's own state (TrainingHooks): these are all that a checkpoint holds. Data order and dropout follow from the
// seed and the step.

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "lora/adapters/training_hooks.h"
#include "lora/training/adamw.h"
#include "lora/training/config.h"
#include "lora/training/evaluation.h"
#include "lora/training/gradient_sums.h"
#include "lora/training/objective.h"
#include "lora/training/pass_losses.h"
#include "lora/training/progress.h"
#include "lora/training/replicas.h"
#include "lora/training/row_cursor.h"
#include "lora/training/schedules.h"
#include "models/engine/profile.h"
#include "models/network/decoder.h"

namespace lora {

struct StepMetrics {
  int64_t step = 0;
  double epoch = 0;      // RowCursor::epochs_done
  double loss = 0;       // mean over the step's terms, as the objective counts them
  double grad_norm = 0;  // before clipping
  double lr = 0;         // learning_rate on the schedule
  int64_t tokens = 0, supervised_tokens = 0;
  double flops = 0;  // see flops.h
  double seconds = 0;
  bool skipped = false;                // loss or gradient is not finite: nothing was updated
  bool overflowed = false;             // skipped, since the gradient was too large for float16 at this loss scale
  double loss_scale = 0;               // that the step was computed with; 0: losses are not scaled
  Measures measures = {};              // of the objective, beside the loss
  nlohmann::ordered_json method = {};  // the adapter method's own columns
};

class Trainer {
 public:
  // Trains the model's parameters that require gradients, by make_objective(). `validation` may be
  // null; it must outlive the trainer, as must what `rows` reads. One thread drives a trainer, and those of all replicas
  // make the same calls. Throws Error (exit code 2) for a learning_rates key or an lr_schedule that means nothing.
  Trainer(LlamaForCausalLM& model, const TrainingConfig& config, RowCursor rows, const Dataset* validation,
          std::shared_ptr<Replicas> replicas = std::make_shared<Replicas>());

  int64_t total_steps() const { return total_steps_; }
  const std::vector<ParameterGroup>& groups() const { return groups_; }
  const RowCursor& rows() const { return rows_; }
  bool has_validation() const { return validation_ != nullptr; }
  Replicas& replicas() { return *replicas_; }

  // Whether there is a row for another step; see RowCursor::has_next.
  bool has_rows();

  // Passes of the next step, as it is split under the plan.
  int64_t passes_a_step() const { return std::ssize(RowCursor(rows_).next(plan_.tokens).passes); }

  // In which a step's gradients are added.
  SumOrder sum_order() const { return sum_order_; }

  // A model in float16 has its losses scaled (loss_scale.h). A step whose gradient overflows is skipped, and does not count
  // among those in a row.
  //
  // One optimizer step over batch_size rows (fewer at an epoch's end). The loss and its gradient are exact over all of
  // the step's terms, however its rows are split into passes. Where the loss or the gradient is not finite, the step is
  // counted and updates nothing. Throws NumericsError where that happens max_nonfinite_steps + 1 times in a row, and at
  // once where a weight is not finite; DataError where there is no row. Weights and progress then stay as they
  // were before the call. `on_pass`: called before each of this replica's passes, with those that are done.
  StepMetrics step(const OnPass& on_pass = {});

  // Throws NumericsError where a trained weight is not finite. For what writes weights: steps notice it one step later.
  void expect_finite_weights() const;

  // Of the validation set; see evaluation.h.
  Evaluation evaluate(const OnPass& on_pass = {}) {
    return lora::evaluate(model_, *objective_, *validation_, validation_reference_, config_, plan_, *replicas_,
                          on_pass);
  }

  const Progress& progress() const { return progress_; }
  // Records an evaluation in the progress; see early_stopping.h.
  bool record(const Evaluation& evaluation);

  // The method's part in every step from now on; null: none.
  void set_hooks(std::unique_ptr<TrainingHooks> hooks);
  TrainingHooks& hooks() { return *hooks_; }
  int64_t method_bytes() const;  // of the hooks' state

  // Goes on from a checkpoint's progress; DataError where a stream is too short for it. The caller copies parameters,
  // moments and the hooks' state in, afterwards.
  void resume(const Progress& progress);
  AdamW& optimizer() { return optimizer_; }

  const Objective& objective() const { return *objective_; }
  // Of the training and the validation data, where the objective needs them. Before the first step.
  void set_references(Reference training, Reference validation);

  // How passes are computed from now on. Before: the default plan with config.fused.
  void set_plan(ExecutionPlan plan) { plan_ = plan; }

  // Collects from now on where the time of steps goes; null: no longer.
  void set_profile(WorkTimes* times) { profile_ = times; }

 private:
  void seed_dropout(int64_t draw) const;
  Whole whole_of_step(const StepRows& rows, Block own);
  PassLosses compute_passes(const StepRows& rows, const std::vector<PassBatch>& batches, const OnPass& on_pass);
  void prepare_ahead();
  std::vector<PassBatch> take_prepared();
  bool is_finite(double loss, double norm);
  bool overflows(double loss, double norm) const;
  void update(double norm, double factor);
  StepMetrics finish(const StepRows& rows, StepMetrics metrics);

  LlamaForCausalLM& model_;
  TrainingConfig config_;
  RowCursor rows_;
  const Dataset* validation_;
  std::shared_ptr<Replicas> replicas_;
  std::unique_ptr<Objective> objective_;
  Reference reference_, validation_reference_;
  std::vector<ParameterGroup> groups_;
  AdamW optimizer_;
  SumOrder sum_order_;
  int64_t total_steps_;
  Schedule schedule_;
  std::unique_ptr<TrainingHooks> hooks_ = std::make_unique<TrainingHooks>();
  ExecutionPlan plan_;
  // The batches of this replica's passes of the step at `place`, made while the device computed the step before. They follow
  // from the data and the place, so that no checkpoint has them.
  struct Prepared {
    RowPlace place;
    int64_t tokens;  // of a pass
    std::vector<PassBatch> batches;
  };
  std::optional<Prepared> prepared_;
  Progress progress_;
  WorkTimes* profile_ = nullptr;
};

}  // namespace lora
