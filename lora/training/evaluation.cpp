#include "lora/training/evaluation.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>
#include <span>

#include "lora/training/pass_losses.h"
#include "lora/training/passes.h"
#include "models/base/numbers.h"

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

std::span<const Pass> own_passes(const std::vector<Pass>& passes, const Replicas& replicas) {
  const Block own = own_block(std::ssize(passes), replicas);
  return std::span(passes).subspan(as_size(own.first), as_size(own.end - own.first));
}

Confusion gathered(const Confusion& own, Replicas& replicas) {
  if (own.empty()) return own;
  nlohmann::json counts = nlohmann::json::array();
  for (const auto& [pair, count] : own.counts()) counts.push_back({pair.first, pair.second, count});
  Confusion all(own.labels());
  for (const nlohmann::json& part : gather_values(replicas, counts)) {
    for (const nlohmann::json& count : part) all.add(count[0], count[1], count[2]);
  }
  return all;
}

}  // namespace

Evaluation evaluate(LlamaForCausalLM& model, const Objective& objective, const Dataset& data,
                    const Reference& reference, const TrainingConfig& config, ExecutionPlan plan, Replicas& replicas,
                    const OnPass& on_pass) {
  const at::NoGradGuard no_grad;
  model.eval();
  const std::vector<Pass> passes = passes_over(objective, data, config, plan);
  const std::span<const Pass> own = own_passes(passes, replicas);
  Terms terms;
  for (const Pass& pass : passes) terms += count_terms(objective, data, pass);
  const Whole whole = whole_of(objective, model, data, reference, terms, own, plan, replicas);
  const auto labels = static_cast<int64_t>(model.config().labels.size());
  Evaluation evaluation{0, Confusion(labels > 1 ? labels : 0)};  // a reward model has one output, and no labels
  PassLosses losses;
  int64_t done = 0;
  for (const Pass& pass : own) {
    evaluation.loss = 0;
    evaluation.measures = {};
    objective.evaluate(model, {data, reference, pass, plan}, whole, evaluation);
    losses.add(evaluation.loss, std::move(evaluation.measures));
    if (on_pass) on_pass(++done, std::ssize(own));
  }
  LossSum sum = losses.sum_over(replicas);
  objective.complete(sum.measures);
  return {sum.loss, gathered(evaluation.confusion, replicas), std::move(sum.measures)};
}

Reference compute_reference(LlamaForCausalLM& model, const Objective& objective, const Dataset& data,
                            const TrainingConfig& config, ExecutionPlan plan, Replicas& replicas,
                            const OnPass& on_pass) {
  const at::NoGradGuard no_grad;
  model.eval();
  const std::vector<Pass> passes = passes_over(objective, data, config, plan);
  nlohmann::json own = nlohmann::json::array();  // sample, first and second value
  const std::span<const Pass> to_do = own_passes(passes, replicas);
  int64_t done = 0;
  for (const Pass& pass : to_do) {
    const auto [first, second] = objective.reference_of(model, data, pass, plan);
    const at::Tensor a = first.cpu(), b = second.cpu();
    for (size_t i = 0; i < pass.size(); ++i) {
      own.push_back({pass[i], a.const_data_ptr<double>()[i], b.const_data_ptr<double>()[i]});
    }
    if (on_pass) on_pass(++done, std::ssize(to_do));
  }
  Reference reference{std::vector<double>(as_size(data.size())), std::vector<double>(as_size(data.size()))};
  for (const nlohmann::json& values : gather_values(replicas, own)) {
    for (const nlohmann::json& value : values) {
      const size_t sample = as_size(value[0].get<int64_t>());
      reference.first[sample] = value[1];
      reference.second[sample] = value[2];
    }
  }
  return reference;
}

}  // namespace lora
