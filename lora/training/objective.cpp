#include "lora/training/objective.h"

#include <algorithm>

#include "lora/training/evaluation.h"
#include "lora/training/objectives/objectives.h"
#include "lora/training/pass_losses.h"
#include "models/base/error.h"

namespace lora {

Terms& Terms::operator+=(const Terms& other) {
  units += other.units;
  tokens += other.tokens;
  return *this;
}

PassBatch Objective::batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& pass) const {
  return {.text = pass_batch(model, data, pass)};
}

PassBatch Objective::batch_of(const LlamaForCausalLM& model, const PassInput& input) const {
  return input.batch ? *input.batch : batch(model, input.data, input.pass);
}

void Objective::evaluate(LlamaForCausalLM& model, const PassInput& input, const Whole& whole,
                         Evaluation& evaluation) const {
  evaluation.loss += loss(model, input, whole, evaluation.measures).item<double>();
}

std::pair<at::Tensor, at::Tensor> Objective::reference_of(LlamaForCausalLM&, const Dataset&, const Pass&,
                                                          ExecutionPlan) const {
  return {};
}

at::Tensor Objective::shared_part(LlamaForCausalLM&, const PassInput&, const Terms&) const { return {}; }

const Names& objective_names() {
  static const Names names = [] {
    Names all;
    for (const ObjectiveRow& row : objectives()) all.known.emplace_back(row.name);
    return all;
  }();
  return names;
}

const ObjectiveRow& find_objective(const std::string& name) {
  for (const ObjectiveRow& row : objectives()) {
    if (row.name == name) return row;
  }
  throw Error(ExitCode::kRecipe, "training",
              "objective: '" + name + "' is not an objective" + name_hint(objective_names(), name) +
                  "; expected one of " + joined(objective_names().known));
}

bool compares_with_start(const TrainingConfig& config) {
  return find_objective(config.objective).make(config)->needs_reference();
}

std::unique_ptr<Objective> make_objective(const TrainingConfig& config, const LlamaForCausalLM& model) {
  const bool classifies = !model.config().labels.empty() && config.objective == "causal_lm";
  return find_objective(classifies ? "sequence_classification" : config.objective).make(config);
}

Terms count_terms(const Objective& objective, const Dataset& data, std::span<const int64_t> samples) {
  Terms terms;
  for (const int64_t sample : samples) terms += objective.terms(data[sample]);
  return terms;
}

int64_t supervised_tokens(const SampleView& sample) { return std::ranges::count(sample.supervised, uint8_t{1}); }

at::Tensor supervised_loss(LlamaForCausalLM& model, const TrainBatch& text, ExecutionPlan plan) {
  return model.loss_sum(text.tokens, text.targets, plan);
}

Whole whole_of(const Objective& objective, LlamaForCausalLM& model, const Dataset& data, const Reference& reference,
               const Terms& terms, std::span<const Pass> passes, ExecutionPlan plan, Replicas& replicas,
               const std::function<void(size_t pass)>& before) {
  Whole whole{terms};
  if (!objective.has_shared_part()) return whole;
  PassLosses parts;
  for (size_t i = 0; i < passes.size(); ++i) {
    if (count_terms(objective, data, passes[i]).tokens == 0) continue;
    if (before) before(i);
    parts.add(objective.shared_part(model, {data, reference, passes[i], plan}, terms));
  }
  whole.shared = parts.sum_over(replicas).loss;
  return whole;
}

}  // namespace lora
