#include "lora/training/objective.h"

#include <algorithm>

#include "lora/training/objectives/objectives.h"
#include "models/base/error.h"

namespace lora {

const Names& objective_names() {
  static const Names names = [] {
    Names all;
    for (const Objective* objective : kObjectives) all.known.emplace_back(objective->name);
    return all;
  }();
  return names;
}

const Objective& find_objective(const std::string& name) {
  for (const Objective* objective : kObjectives) {
    if (objective->name == name) return *objective;
  }
  throw Error(ExitCode::kRecipe, "training",
              "objective: '" + name + "' is not an objective" + name_hint(objective_names(), name) +
                  "; expected one of " + joined(objective_names().known));
}

const Objective& objective_of(const LlamaForCausalLM& model) {
  return find_objective(model.config().labels.empty() ? "causal_lm" : "sequence_classification");
}

int64_t count_terms(const Objective& objective, const Dataset& data, std::span<const int64_t> samples) {
  int64_t terms = 0;
  for (const int64_t sample : samples) terms += objective.terms(data[sample]);
  return terms;
}

int64_t supervised_tokens(const SampleView& sample) { return std::ranges::count(sample.supervised, uint8_t{1}); }

at::Tensor supervised_loss(LlamaForCausalLM& model, const Dataset& data, const Pass& pass, ExecutionPlan plan) {
  const TrainBatch batch = pass_batch(model, data, pass);
  return model.loss_sum(batch.tokens, batch.targets, plan);
}

}  // namespace lora
