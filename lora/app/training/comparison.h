#pragma once
// What a run needs beside what the same recipe would need by another method, without running that: the baselines that
// an adapter is measured against.

#include <string>
#include <vector>

#include "lora/adapters/inject.h"
#include "lora/training/memory_plan.h"

namespace lora {

struct MethodNeed {
  std::string name;
  int64_t trained = 0, parameters = 0;
  MemoryPlan plan;
};

// Full fine-tuning and LoRA, as far as the run is not of that method itself: the memory model's figures for a network
// of the model's shape that has no weights. LoRA has the recipe's rank (AdaLoRA's target_r) and modules, for a run of
// method full all linear ones; full fine-tuning is of a base that is not quantised. Neither heeds memory_limit; LoRA is
// left out where that rank is impossible.
std::vector<MethodNeed> baselines(const LlamaForCausalLM& model, const Adaptation& adaptation,
                                  const AdapterConfig& adapter, const TrainingConfig& training, const DataNeed& data,
                                  const MemoryPlan& plan);

// The run's own row first: trained parameters, their share, and memory by what for.
std::string comparison_table(const Adaptation& adaptation, const AdapterConfig& adapter, const MemoryPlan& plan,
                             const std::vector<MethodNeed>& baselines);

}  // namespace lora
