#include "lora/app/training/comparison.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "lora/terminal/text.h"
#include "models/base/error.h"

namespace lora {
namespace {

// On the meta device: shapes and dtypes, no memory.
LlamaForCausalLM without_weights(const LlamaForCausalLM& model) {
  const auto options = at::TensorOptions(at::kMeta).dtype(model.dtype());
  return {model.config(), model.dtype(),
          [&](const std::string&, at::IntArrayRef shape) { return at::empty(shape, options); }};
}

std::string row_name(const std::string& method, int64_t rank) {
  return method == "full" ? method : method + ", rank " + std::to_string(rank);
}

AdapterConfig plain_lora(const AdapterConfig& adapter) {
  AdapterConfig config = adapter;
  config.method = "lora";
  config.init = AdapterConfig{}.init;
  config.init_from.clear();
  if (adapter.method == "adalora") config.rank = adapter.adalora.target_r;
  if (adapter.method == "full") {
    config.target_modules = AllLinear{};
    config.modules_to_save.clear();
  }
  return config;
}

}  // namespace

std::vector<MethodNeed> baselines(const LlamaForCausalLM& model, const Adaptation& adaptation,
                                  const AdapterConfig& adapter, const TrainingConfig& training, const DataNeed& data,
                                  const MemoryPlan& plan) {
  TrainingConfig config = training;
  config.memory_limit.reset();
  config.memory = plan.execution.recompute == Recompute::kLayer ? MemoryMode::kLow : MemoryMode::kFast;
  config.learning_rates.clear();
  std::vector<MethodNeed> needs;
  for (const std::string method : {"lora", "full"}) {
    if (method == adapter.method) continue;
    AdapterConfig other;
    other.method = "full";
    if (method == "lora") other = plain_lora(adapter);
    LlamaForCausalLM shape = without_weights(model);
    Adaptation adapted;
    try {
      adapted = inject(shape, other, training.seed);
    } catch (const Error&) {
      continue;  // the recipe's rank is more than a projection has, which is no fault of a run of method full
    }
    MethodNeed need{row_name(method, other.rank), adapted.trainable_parameters, adapted.total_parameters, {}};
    need.plan = plan_memory(shape, make_parameter_groups(trainable_parameters(shape), config), config, data,
                            std::numeric_limits<int64_t>::max());
    // A quantised base stays the run's own under another adapter.
    if (method == "lora" && adapter.method != "full") {
      need.plan.weights = plan.weights + 4 * (need.parameters - adaptation.total_parameters);
    }
    needs.push_back(std::move(need));
  }
  return needs;
}

std::string comparison_table(const Adaptation& adaptation, const AdapterConfig& adapter, const MemoryPlan& plan,
                             const std::vector<MethodNeed>& baselines) {
  std::vector<MethodNeed> needs = {{row_name(adapter.method, adapter.rank) + " (this run)",
                                    adaptation.trainable_parameters, adaptation.total_parameters, plan}};
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
