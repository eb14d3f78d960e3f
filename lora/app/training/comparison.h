#pragma once
// What a run needs beside what the same recipe would need by another method, without running that: the baselines that
// an adapter is measured against.

#include <string>
#include <vector>

#include "lora/adapters/adapted_model.h"
#include "lora/training/memory_plan.h"

namespace lora {

struct MethodNeed {
  std::string name;
  int64_t trained = 0, parameters = 0;
  MemoryPlan plan;
};

// The baseline methods (LoRA and full fine-tuning) other than the run's own: the memory model's figures for a network
// of the model's shape that has no weights. LoRA has the rank that the run's method is compared at and the recipe's
// modules, for a run of method full all linear ones. Full fine-tuning is of a base that is not quantized. Neither
// observes memory_limit. LoRA is left out where that rank is impossible.
std::vector<MethodNeed> baselines(const AdaptedModel& adapted, const TrainingConfig& training, const DataNeed& data,
                                  const MemoryPlan& plan);

// The run's own row first: trained parameters, their share, and memory by what for.
std::string comparison_table(const AdaptedModel& adapted, const MemoryPlan& plan,
                             const std::vector<MethodNeed>& baselines);

}  // namespace lora
