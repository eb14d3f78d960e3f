#include "lora/app/training/comparison.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "lora/adapters/inject.h"
#include "lora/adapters/registry.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"

namespace lora {
namespace {

// On the meta device: shapes and dtypes, no memory.
std::shared_ptr<LlamaForCausalLM> without_weights(const LlamaForCausalLM& model) {
  const auto options = at::TensorOptions(at::kMeta).dtype(model.dtype());
  return std::make_shared<LlamaForCausalLM>(
      model.config(), model.dtype(),
      [&](const std::string&, at::IntArrayRef shape) { return at::empty(shape, options); });
}

std::string row_name(const Method& method, int64_t rank) {
  return method.trains_network ? method.name : method.name + ", rank " + std::to_string(rank);
}

AdapterConfig baseline_config(const Method& baseline, const AdapterConfig& adapter) {
  const Method& method = find_method(adapter.method);
  AdapterConfig config = baseline.trains_network ? AdapterConfig{} : adapter;
  config.method = baseline.name;
  if (baseline.trains_network) return config;
  config.init = AdapterConfig{}.init;
  config.init_from.clear();
  if (method.compared_rank) config.rank = method.compared_rank(adapter);
  if (method.trains_network) {
    config.target_modules = AllLinear{};
    config.modules_to_save.clear();
  }
  return config;
}

}  // namespace

std::vector<MethodNeed> baselines(const AdaptedModel& adapted, const TrainingConfig& training, const DataNeed& data,
                                  const MemoryPlan& plan) {
  TrainingConfig config = training;
  config.memory_limit.reset();
  config.memory = plan.execution.recompute == Recompute::kLayer ? MemoryMode::kLow : MemoryMode::kFast;
  config.learning_rates.clear();
  std::vector<MethodNeed> needs;
  for (const Method& baseline : methods()) {
    if (!baseline.is_baseline || baseline.name == adapted.config.method) continue;
    const AdapterConfig adapter = baseline_config(baseline, adapted.config);
    AdaptedModel other;
    try {
      other = inject(without_weights(*adapted.model), adapter, training.seed);
    } catch (const Error&) {
      continue;  // the recipe's rank is more than a projection has, which is not a fault of a run of method full
    }
    MethodNeed need{row_name(baseline, adapter.rank), other.trainable_parameters, other.total_parameters, {}};
    need.plan = plan_memory(*other.model, make_parameter_groups(trainable_parameters(*other.model), config), config,
                            data, {.bytes = std::numeric_limits<int64_t>::max(), .device = adapted.model->device()});
    // A quantized base stays the run's own under another adapter.
    if (!baseline.trains_network && !find_method(adapted.config.method).trains_network) {
      need.plan.weights = plan.weights + 4 * (need.parameters - adapted.total_parameters);
    }
    needs.push_back(std::move(need));
  }
  return needs;
}

std::string comparison_table(const AdaptedModel& adapted, const MemoryPlan& plan,
                             const std::vector<MethodNeed>& baselines) {
  std::vector<MethodNeed> needs = {{row_name(find_method(adapted.config.method), adapted.config.rank) + " (this run)",
                                    adapted.trainable_parameters, adapted.total_parameters, plan}};
  needs.insert(needs.end(), baselines.begin(), baselines.end());
  std::vector<std::vector<std::string>> rows = {
      {"side by side", "trained", "share", "weights", "optimizer", "activations", "memory in all"}};
  for (const MethodNeed& need : needs) {
    const double share = 100.0 * static_cast<double>(need.trained) / static_cast<double>(need.parameters);
    rows.push_back({need.name, with_commas(need.trained), fixed(share, share < 1 ? 3 : 1) + " %",
                    as_bytes(need.plan.weights), as_bytes(need.plan.optimizer),
                    as_bytes(need.plan.activations + need.plan.workspace), as_bytes(need.plan.total())});
  }
  return table(rows, {false, true, true, true, true, true, true});
}

}  // namespace lora
