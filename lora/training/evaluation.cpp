#include "lora/training/evaluation.h"

#include <ATen/core/grad_mode.h>

#include "lora/training/passes.h"

namespace lora {

Evaluation evaluate(LlamaForCausalLM& model, const Objective& objective, const Dataset& data,
                    const TrainingConfig& config, ExecutionPlan plan) {
  const at::NoGradGuard no_grad;
  model.eval();
  const std::vector<int64_t> lengths = data.lengths();
  const EpochPlan rows =
      plan_epoch(lengths, /*packing=*/true, config.max_length, /*shuffle=*/false, config.seed, /*epoch=*/0);
  Evaluation evaluation{0, Confusion(static_cast<int64_t>(model.config().labels.size()))};
  int64_t terms = 0;
  for (const Pass& pass : split_into_passes(rows, 0, rows.size(), lengths, /*rows_per_pass=*/{}, plan.tokens)) {
    const int64_t of_pass = count_terms(objective, data, pass);
    if (of_pass == 0) continue;
    objective.evaluate(model, data, pass, plan, evaluation);
    terms += of_pass;
  }
  evaluation.loss /= static_cast<double>(terms);
  return evaluation;
}

}  // namespace lora
