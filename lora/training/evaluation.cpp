#include "lora/training/evaluation.h"

#include <ATen/ATen.h>

#include "lora/training/passes.h"

namespace lora {
namespace {

// The passes over all samples that have a term.
std::vector<Pass> passes_over(const Objective& objective, const Dataset& data, const TrainingConfig& config,
                              ExecutionPlan plan) {
  const std::vector<int64_t> lengths = data.lengths();
  TrainingConfig packed = config;
  packed.packing = true;
  const auto [packing, max_length] = row_shape(data, packed);
  const EpochPlan rows = plan_epoch(lengths, packing, max_length, /*shuffle=*/false, config.seed, /*epoch=*/0);
  std::vector<Pass> passes = split_into_passes(rows, 0, rows.size(), lengths, /*rows_per_pass=*/{}, plan.tokens);
  std::erase_if(passes, [&](const Pass& pass) { return count_terms(objective, data, pass).tokens == 0; });
  return passes;
}

}  // namespace

Evaluation evaluate(LlamaForCausalLM& model, const Objective& objective, const Dataset& data,
                    const Reference& reference, const TrainingConfig& config, ExecutionPlan plan) {
  const at::NoGradGuard no_grad;
  model.eval();
  const std::vector<Pass> passes = passes_over(objective, data, config, plan);
  Terms terms;
  for (const Pass& pass : passes) terms += count_terms(objective, data, pass);
  const Whole whole = whole_of(objective, model, data, reference, terms, passes, plan);
  const auto labels = static_cast<int64_t>(model.config().labels.size());
  Evaluation evaluation{0, Confusion(labels > 1 ? labels : 0)};  // a reward model has one output, and no labels
  for (const Pass& pass : passes) objective.evaluate(model, {data, reference, pass, plan}, whole, evaluation);
  objective.complete(evaluation.measures);
  return evaluation;
}

Reference compute_reference(LlamaForCausalLM& model, const Objective& objective, const Dataset& data,
                            const TrainingConfig& config, ExecutionPlan plan) {
  const at::NoGradGuard no_grad;
  model.eval();
  Reference reference{std::vector<double>(static_cast<size_t>(data.size())),
                      std::vector<double>(static_cast<size_t>(data.size()))};
  for (const Pass& pass : passes_over(objective, data, config, plan)) {
    const auto [first, second] = objective.reference_of(model, data, pass, plan);
    for (const auto& [from, to] :
         {std::pair(first.cpu(), &reference.first), std::pair(second.cpu(), &reference.second)}) {
      for (size_t i = 0; i < pass.size(); ++i) {
        (*to)[static_cast<size_t>(pass[i])] = from.const_data_ptr<double>()[i];
      }
    }
  }
  return reference;
}

}  // namespace lora
