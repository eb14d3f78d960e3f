#include "lora/training/trainer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>

#include "lora/adapters/inject.h"
#include "lora/data/shuffle.h"
#include "lora/training/flops.h"
#include "lora/training/memory_plan.h"
#include "lora/training/schedule.h"
#include "models/base/error.h"
#include "models/base/numbers.h"
#include "models/engine/row_counts.h"

namespace lora {
namespace {

constexpr int64_t kPassTokens = 512;

using Passes = std::vector<std::vector<int64_t>>;  // the samples of each

// Splits the rows [first, end) into forward passes: by count of rows, or as many samples as stay within the token
// budget. Where a row is split changes nothing, for its samples do not see one another.
Passes micro_batches(const EpochPlan& plan, int64_t first, int64_t end, const std::vector<int64_t>& lengths,
                     std::optional<int64_t> size, int64_t token_budget) {
  Passes passes;
  int64_t held = 0, tokens = 0;
  for (int64_t row = first; row < end; ++row) {
    if (size && held++ % *size == 0) passes.emplace_back();
    for (const int64_t sample : plan[row]) {
      const int64_t length = lengths[static_cast<size_t>(sample)];
      if (!size && (passes.empty() || tokens + length > token_budget)) {
        passes.emplace_back();
        tokens = 0;
      }
      tokens += length;
      passes.back().push_back(sample);
    }
  }
  return passes;
}

TrainBatch to_device(TrainBatch batch, const at::Device& device) {
  batch.tokens.input_ids = batch.tokens.input_ids.to(device);
  batch.targets = batch.targets.to(device);
  return batch;
}

// Notes what is predicted; returns the sum of the samples' losses.
double classify(LlamaForCausalLM& model, const TrainBatch& batch, Confusion& confusion) {
  const at::Tensor ends = (batch.targets != kIgnoredTarget).nonzero().squeeze(1);
  const at::Tensor wanted = batch.targets.index_select(0, ends), logits = model.logits_at(batch.tokens, ends);
  const at::Tensor labels = wanted.cpu(), predicted = logits.argmax(1).cpu();
  for (int64_t i = 0; i < labels.size(0); ++i) {
    confusion.add(labels.const_data_ptr<int64_t>()[i], predicted.const_data_ptr<int64_t>()[i]);
  }
  return at::cross_entropy_loss(logits, wanted, /*weight=*/{}, at::Reduction::Sum).item<double>();
}

at::Device device_of(const LlamaForCausalLM& model) { return model.model->embed_tokens->weight_matrix().device(); }

}  // namespace

Trainer::Trainer(LlamaForCausalLM& model, const TrainingConfig& config, const Dataset& train, const Dataset* validation,
                 bool shuffle, Mixture mixture)
    : Trainer(model, config, train, nullptr, validation, shuffle, std::move(mixture)) {}

Trainer::Trainer(LlamaForCausalLM& model, const TrainingConfig& config, SampleStream& stream, const Dataset* validation,
                 bool shuffle)
    : Trainer(model, config, stream.window(), &stream, validation, shuffle, {}) {}

Trainer::Trainer(LlamaForCausalLM& model, const TrainingConfig& config, const Dataset& train, SampleStream* stream,
                 const Dataset* validation, bool shuffle, Mixture mixture)
    : model_(model),
      config_(config),
      train_(train),
      stream_(stream),
      validation_(validation),
      shuffle_(shuffle),
      mixture_(std::move(mixture)),
      lengths_(train.lengths()),
      groups_(make_parameter_groups(trainable_parameters(model), config)),
      optimizer_(groups_, config),
      steps_per_epoch_(ceil_div(plan_of(0).size(), config.batch_size)),
      total_steps_(config.max_steps ? *config.max_steps : steps_in(*config.epochs)),
      pass_tokens_(kPassTokens) {
  model_.model->fused = config_.fused;
  resume(Progress{});
}

void Trainer::set_plan(const MemoryPlan& plan) {
  pass_tokens_ = plan.tokens;
  model_.model->recompute = plan.recompute;
  model_.model->lets_weights_go = plan.lets_weights_go;
}

void Trainer::set_hooks(std::unique_ptr<TrainingHooks> hooks) {
  hooks_ = std::move(hooks);
  if (!hooks_) return;
  if (hooks_->wants_transformers_adamw()) optimizer_.use_transformers_form();
  hooks_->resume(progress_.step);
}

int64_t Trainer::method_bytes() const {
  int64_t bytes = 0;
  if (hooks_) {
    for (const auto& [name, tensor] : hooks_->state()) bytes += static_cast<int64_t>(tensor.nbytes());
  }
  return bytes;
}

int64_t Trainer::steps_per_epoch() const { return steps_per_epoch_; }

EpochPlan Trainer::plan_of(int64_t epoch) const {
  return plan_epoch(lengths_, config_.packing, config_.max_length, shuffle_, config_.seed, epoch, mixture_.draw(epoch));
}

int64_t Trainer::steps_in(double epochs) const {
  const auto of = [&](double part, int64_t steps) {
    return static_cast<int64_t>(std::ceil(part * static_cast<double>(steps) - 1e-9));
  };
  if (mixture_.plain()) return of(epochs, steps_per_epoch_);  // the same in every epoch
  int64_t steps = 0;
  for (int64_t epoch = 0; static_cast<double>(epoch) < epochs; ++epoch) {
    steps +=
        of(std::min(1.0, epochs - static_cast<double>(epoch)), ceil_div(plan_of(epoch).size(), config_.batch_size));
  }
  return steps;
}

void Trainer::resume(const Progress& progress) {
  progress_ = progress;
  optimizer_.set_steps(progress.step);
  if (hooks_) hooks_->resume(progress.step);
  if (stream_) {
    if (!stream_->seek(progress.epoch)) {
      throw DataError("the training data ends before the checkpoint's place after step " +
                      std::to_string(progress.step) + "; wanted what the checkpoint was trained on");
    }
    lengths_ = train_.lengths();
  }
  rows_ = plan_of(progress.epoch);
}

bool Trainer::has_rows() {
  if (!stream_ || progress_.row < rows_.size()) return true;
  if (!stream_->seek(progress_.epoch + 1)) return false;
  lengths_ = train_.lengths();
  begin_epoch();
  return true;
}

void Trainer::begin_epoch() {
  ++progress_.epoch;
  progress_.row = 0;
  rows_ = plan_of(progress_.epoch);
}

std::pair<int64_t, int64_t> Trainer::next_rows() {
  if (!has_rows()) throw DataError("the training data has ended, and a step was wanted");
  if (progress_.row >= rows_.size()) begin_epoch();
  const int64_t first = progress_.row;
  progress_.row = std::min(first + config_.batch_size, rows_.size());
  return {first, progress_.row};
}

StepMetrics Trainer::step() {
  const auto start = std::chrono::steady_clock::now();
  const ProfileTo profile(profile_);
  const Progress before = progress_;
  const auto [first, end] = next_rows();
  // Dropout's randomness is a function of seed and step, so that no generator state has to be kept.
  at::manual_seed(SplitMix64(config_.seed ^ SplitMix64(static_cast<uint64_t>(progress_.step)).next()).next());
  model_.train();

  const Passes passes = micro_batches(rows_, first, end, lengths_, config_.micro_batch_size, pass_tokens_);
  int64_t supervised = 0, tokens = 0;
  std::vector<int64_t> step_lengths;
  for (const int64_t index : rows_.rows(first, end)) {
    const SampleView sample = train_[index];
    tokens += sample.length();
    step_lengths.push_back(sample.length());
    supervised += std::ranges::count(sample.supervised, uint8_t{1});
  }

  optimizer_.zero_grad();
  double loss = 0;
  for (const std::vector<int64_t>& pass : passes) {
    const TrainBatch batch = to_device(make_batch(train_, pass, kRowStep), device_of(model_));
    if (batch.supervised == 0) continue;
    const at::Tensor mean = model_.loss_sum(batch.tokens, batch.targets) / static_cast<double>(supervised);
    mean.backward();
    loss += mean.item<double>();
  }
  if (hooks_) hooks_->after_backward();
  const double norm = optimizer_.grad_norm();
  if (!std::isfinite(loss) || !std::isfinite(norm)) {
    progress_ = before;
    throw NumericsError("step " + std::to_string(before.step + 1) + ": loss is " + std::to_string(loss) +
                        " and the gradient's norm " + std::to_string(norm) +
                        "; wanted finite numbers. The weights are as they were before this step; a lower "
                        "training.learning_rate or model.dtype float32 usually helps");
  }
  if (config_.max_grad_norm > 0 && norm > config_.max_grad_norm) {
    optimizer_.scale_grad(config_.max_grad_norm / (norm + 1e-6));
  }
  const double factor = schedule_factor(config_, progress_.step, total_steps_);
  {
    const WorkScope scope(Work::kOptimizer);
    if (hooks_) hooks_->before_update();
    optimizer_.step(factor);
    if (hooks_) hooks_->after_update(progress_.step + 1);
  }

  ++progress_.step;
  progress_.tokens += tokens;
  progress_.supervised_tokens += supervised;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {.step = progress_.step,
          .epoch = stream_ ? static_cast<double>(stream_->passes())
                           : static_cast<double>(progress_.epoch) +
                                 static_cast<double>(progress_.row) / static_cast<double>(rows_.size()),
          .loss = loss,
          .grad_norm = norm,
          .lr = config_.learning_rate * factor,
          .tokens = tokens,
          .supervised_tokens = supervised,
          .flops = pass_flops(model_, step_lengths, supervised),
          .seconds = seconds.count(),
          .method = hooks_ ? hooks_->metrics() : nlohmann::ordered_json::object()};
}

Evaluation Trainer::evaluate() {
  const at::NoGradGuard no_grad;
  model_.eval();
  const std::vector<int64_t> lengths = validation_->lengths();
  const EpochPlan rows =
      plan_epoch(lengths, /*packing=*/true, config_.max_length, /*shuffle=*/false, config_.seed, /*epoch=*/0);
  Evaluation evaluation{0, Confusion(static_cast<int64_t>(model_.config().labels.size()))};
  int64_t supervised = 0;
  for (const std::vector<int64_t>& pass : micro_batches(rows, 0, rows.size(), lengths, {}, pass_tokens_)) {
    const TrainBatch batch = to_device(make_batch(*validation_, pass, kRowStep), device_of(model_));
    if (batch.supervised == 0) continue;
    evaluation.loss += evaluation.confusion.empty() ? model_.loss_sum(batch.tokens, batch.targets).item<double>()
                                                    : classify(model_, batch, evaluation.confusion);
    supervised += batch.supervised;
  }
  evaluation.loss /= static_cast<double>(supervised);
  return evaluation;
}

bool Trainer::note_evaluation(double loss) {
  if (loss < progress_.best_loss) {
    progress_.best_loss = loss;
    progress_.best_step = progress_.step;
    progress_.evaluations_without_gain = 0;
    return true;
  }
  ++progress_.evaluations_without_gain;
  return false;
}

}  // namespace lora
