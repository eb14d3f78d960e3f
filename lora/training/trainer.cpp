#include "lora/training/trainer.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cmath>
#include <span>
#include <utility>

#include "lora/adapters/inject.h"
#include "lora/data/shuffle.h"
#include "lora/training/early_stopping.h"
#include "lora/training/flops.h"
#include "lora/training/loss_scale.h"
#include "models/base/error.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

// Why no later step can be finite either; empty where one can. `trained_alone`: does not look at frozen weights.
std::string nonfinite_weight(const LlamaForCausalLM& model, bool trained_alone) {
  const at::NoGradGuard no_grad;
  const auto is_bad = [](const at::Tensor& tensor) {
    return tensor.defined() && tensor.is_floating_point() && !tensor.isfinite().all().item<bool>();
  };
  for (const auto& item : model.named_parameters()) {
    if ((trained_alone && !item.value().requires_grad()) || !is_bad(item.value())) continue;
    if (!item.value().requires_grad()) return "The model's '" + item.key() + "' holds a value that is not finite";
    return "The last update made '" + item.key() + "' overflow; a lower training.learning_rate usually helps";
  }
  if (trained_alone) return "";
  for (const auto& item : model.named_buffers()) {
    if (is_bad(item.value())) return "The model's '" + item.key() + "' holds a value that is not finite";
  }
  return "";
}

}  // namespace

Trainer::Trainer(LlamaForCausalLM& model, const TrainingConfig& config, RowCursor rows, const Dataset* validation,
                 std::shared_ptr<Replicas> replicas)
    : model_(model),
      config_(config),
      rows_(std::move(rows)),
      validation_(validation),
      replicas_(std::move(replicas)),
      objective_(make_objective(config, model)),
      groups_(make_parameter_groups(trainable_parameters(model), config)),
      optimizer_(groups_, config),
      sum_order_(sum_order_of(model)),
      total_steps_(config.max_steps ? *config.max_steps : rows_.steps_in(*config.epochs)),
      schedule_(config, total_steps_),
      plan_{.fused = config.fused} {
  if (model.dtype() == at::kHalf) progress_.loss_scale = kFirstLossScale;
}

void Trainer::set_hooks(std::unique_ptr<TrainingHooks> hooks) {
  hooks_ = hooks ? std::move(hooks) : std::make_unique<TrainingHooks>();
  if (hooks_->wants_transformers_adamw()) optimizer_.use_transformers_form();
  hooks_->resume(progress_.step);
}

int64_t Trainer::method_bytes() const {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : hooks_->state()) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

void Trainer::resume(const Progress& progress) {
  const double scale = progress_.loss_scale;
  progress_ = progress;
  if (progress.loss_scale == 0) progress_.loss_scale = scale;
  optimizer_.set_steps(progress.step - progress.skipped_steps);
  hooks_->resume(progress.step);
  if (!rows_.seek(progress.place)) {
    throw DataError("the training data ends before the checkpoint's place after step " + std::to_string(progress.step) +
                    "; expected the data that the checkpoint was trained on");
  }
}

bool Trainer::has_rows() {
  const bool more = rows_.has_next();
  progress_.place = rows_.place();
  return more;
}

bool Trainer::record(const Evaluation& evaluation) { return record_evaluation(progress_, evaluation, config_.best_by); }

void Trainer::set_references(Reference training, Reference validation) {
  reference_ = std::move(training);
  validation_reference_ = std::move(validation);
}

StepMetrics Trainer::step(const OnPass& on_pass) {
  const auto start = std::chrono::steady_clock::now();
  const ProfileTo profile(profile_);
  const std::vector<PassBatch> batches = take_prepared();
  const StepRows rows = rows_.next(plan_.tokens);
  PassLosses losses = compute_passes(rows, batches, on_pass);
  Readings readings;  // what the host has to know of the step: a device is waited for once
  hooks_->after_backward(readings);
  double norm = 0;
  readings.add(optimizer_.grad_norm(), norm);
  losses.read_with(readings);
  if (!model_.device().is_cpu()) prepare_ahead();
  readings.read();
  auto [loss, measures] = losses.sum_over(*replicas_);
  objective_->complete(measures);
  const double factor = schedule_(progress_.step), scale = progress_.loss_scale;
  const bool overflowed = overflows(loss, norm), finite = !overflowed && is_finite(loss, norm);
  if (finite) update(norm, factor);
  if (scale > 0 && (finite || overflowed)) adjust_loss_scale(progress_, overflowed);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return finish(rows, {.loss = loss,
                       .grad_norm = norm,
                       .lr = config_.learning_rate * factor,
                       .seconds = seconds.count(),
                       .skipped = !finite,
                       .overflowed = overflowed,
                       .loss_scale = scale,
                       .measures = std::move(measures)});
}

// Makes the batches of the next step, where that is of the same epoch. (Behind its end a stream would read, and what this
// step still reads of the data would be gone.)
void Trainer::prepare_ahead() {
  if (progress_.step + 1 >= total_steps_) return;
  const std::optional<StepRows> rows = rows_.ahead(plan_.tokens);
  if (!rows) return;
  Prepared next{rows_.place(), plan_.tokens, {}};
  const Block own = own_block(std::ssize(rows->passes), *replicas_);
  for (int64_t i = own.first; i < own.end; ++i) {
    next.batches.push_back(objective_->batch(model_, rows_.data(), rows->passes[as_size(i)]));
  }
  prepared_ = std::move(next);
}

// What was made ahead for the rows that are next; nothing where that was for other rows, or nothing was made.
std::vector<PassBatch> Trainer::take_prepared() {
  const std::optional<Prepared> made = std::exchange(prepared_, std::nullopt);
  if (!made || made->place != rows_.place() || made->tokens != plan_.tokens) return {};
  return made->batches;
}

// Makes the optimizer's gradients those of the whole step. `batches`: of this replica's passes, or none.
PassLosses Trainer::compute_passes(const StepRows& rows, const std::vector<PassBatch>& batches, const OnPass& on_pass) {
  const Block own = own_block(std::ssize(rows.passes), *replicas_);
  const std::vector<at::Tensor> gradients = optimizer_.gradients();
  model_.train();
  const Whole whole = whole_of_step(rows, own);
  GradientSums sums(std::ssize(rows.passes), sum_order_);
  PassLosses losses;
  optimizer_.zero_grad();
  for (int64_t i = own.first; i < own.end; ++i) {
    if (on_pass) on_pass(i - own.first, own.end - own.first);
    const Pass& pass = rows.passes[as_size(i)];
    const bool has_terms = count_terms(*objective_, rows_.data(), pass).tokens > 0;
    if (has_terms) {
      seed_dropout(i);
      Measures measures;
      const PassBatch* const batch = batches.empty() ? nullptr : &batches[as_size(i - own.first)];
      const at::Tensor part = objective_->loss(model_, {rows_.data(), reference_, pass, plan_, batch}, whole, measures);
      (progress_.loss_scale > 0 ? part * progress_.loss_scale : part).backward();
      losses.add(part.detach(), std::move(measures));  // a device is not waited for
    }
    if (sum_order_ == SumOrder::kPlain) continue;  // autograd has added it to those before
    sums.add({i, i + 1, has_terms ? gradients : std::vector<at::Tensor>()});
    if (i + 1 == own.end) continue;
    sums.detach();
    optimizer_.zero_grad();
  }
  if (sum_order_ == SumOrder::kPlain) sums.add({own.first, own.end, gradients});
  sum_over(*replicas_, sums, gradients);
  if (progress_.loss_scale > 0) {
    for (const at::Tensor& gradient : gradients) gradient.div_(progress_.loss_scale);
  }
  return losses;
}

// Dropout's randomness is a function of seed, step and pass, so that no generator's state has to be kept, and that a
// pass drops the same wherever it is computed. `draw`: a number of its own for each part of the step that drops.
void Trainer::seed_dropout(int64_t draw) const {
  const uint64_t step = SplitMix64(config_.seed ^ SplitMix64(static_cast<uint64_t>(progress_.step)).next()).next();
  at::manual_seed(SplitMix64(step ^ SplitMix64(static_cast<uint64_t>(draw)).next()).next());
}

// `own`: this replica's passes.
Whole Trainer::whole_of_step(const StepRows& rows, Block own) {
  const Terms terms = count_terms(*objective_, rows_.data(), rows.samples);
  const auto passes = std::span(rows.passes).subspan(as_size(own.first), as_size(own.end - own.first));
  return whole_of(*objective_, model_, rows_.data(), reference_, terms, passes, plan_, *replicas_,
                  [&](size_t i) { seed_dropout(std::ssize(rows.passes) + own.first + static_cast<int64_t>(i)); });
}

// Whether a smaller loss scale may help.
bool Trainer::overflows(double loss, double norm) const {
  return progress_.loss_scale > 1 && std::isfinite(loss) && !std::isfinite(norm);
}

// False for a step to skip. Throws for one that ends the run.
bool Trainer::is_finite(double loss, double norm) {
  if (std::isfinite(loss) && std::isfinite(norm)) return true;
  const std::string reason = progress_.skipped_in_row == 0 ? nonfinite_weight(model_, /*trained_alone=*/false) : "";
  if (reason.empty() && progress_.skipped_in_row < config_.max_nonfinite_steps) return false;
  rows_.seek(progress_.place);
  const std::string found = "step " + std::to_string(progress_.step + 1) + ": loss is " + std::to_string(loss) +
                            " and the gradient's norm " + std::to_string(norm) + "; expected finite numbers. ";
  if (!reason.empty()) throw NumericsError(found + reason);
  const int64_t before = progress_.skipped_in_row;
  const std::string skipped =
      before == 0   ? ""
      : before == 1 ? "The step before was skipped for the same reason. "
                    : "The " + std::to_string(before) + " steps before were skipped for the same reason. ";
  throw NumericsError(found + skipped + "The weights are as they were before " + (before == 0 ? "this step" : "them") +
                      "; a lower training.learning_rate or model.dtype float32 usually helps");
}

void Trainer::expect_finite_weights() const {
  const std::string reason = nonfinite_weight(model_, /*trained_alone=*/true);
  if (!reason.empty()) throw NumericsError("step " + std::to_string(progress_.step) + ": " + reason);
}

void Trainer::update(double norm, double factor) {
  const WorkScope scope(Work::kOptimizer);
  optimizer_.clip_grad(norm, config_.max_grad_norm);
  hooks_->before_update();
  optimizer_.step(factor);
  hooks_->after_update(progress_.step + 1);
}

// Notes the step in the progress and fills in the rest of its metrics.
StepMetrics Trainer::finish(const StepRows& rows, StepMetrics metrics) {
  std::vector<int64_t> lengths;
  for (const int64_t index : rows.samples) {
    const SampleView sample = rows_.data()[index];
    lengths.push_back(sample.length());
    metrics.tokens += sample.length();
    metrics.supervised_tokens += supervised_tokens(sample);
  }
  ++progress_.step;
  progress_.skipped_steps += metrics.skipped;
  if (!metrics.overflowed) progress_.skipped_in_row = metrics.skipped ? progress_.skipped_in_row + 1 : 0;
  progress_.place = rows_.place();
  progress_.tokens += metrics.tokens;
  progress_.supervised_tokens += metrics.supervised_tokens;
  metrics.step = progress_.step;
  metrics.epoch = rows_.epochs_done();
  metrics.flops = pass_flops(model_, lengths, metrics.supervised_tokens);
  metrics.method = hooks_->metrics();
  return metrics;
}

}  // namespace lora
