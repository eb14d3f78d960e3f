#pragma once
// The loss of a validation set.

#include <cstdint>
#include <functional>

#include "lora/data/dataset.h"
#include "lora/training/config.h"
#include "lora/training/confusion.h"
#include "lora/training/measures.h"
#include "lora/training/objective.h"
#include "models/network/decoder.h"

namespace lora {

struct Evaluation {
  double loss = 0;         // mean over the set's terms, as the objective counts them
  Confusion confusion;     // of a classifier; else empty
  Measures measures = {};  // of the objective, beside the loss
};

// Evaluates all samples of `data`, packed. `reference`: of data. `config`: seed and max_length. `plan`: of the passes.
// Leaves the model in evaluation mode and changes nothing else. The passes are dealt out to the replicas; each gets the
// evaluation of the whole set, whose bits do not depend on how many replicas there are. `on_pass`: called after each of
// this replica's passes.
using OnPass = std::function<void(int64_t done, int64_t total)>;
Evaluation evaluate(LlamaForCausalLM& model, const Objective& objective, const Dataset& data,
                    const Reference& reference, const TrainingConfig& config, ExecutionPlan plan, Replicas& replicas,
                    const OnPass& on_pass = {});

// The reference of `data` by the model as it is, in evaluation mode; see objective.h. Leaves the model in that mode.
// Dealt out likewise.
Reference compute_reference(LlamaForCausalLM& model, const Objective& objective, const Dataset& data,
                            const TrainingConfig& config, ExecutionPlan plan, Replicas& replicas = alone(),
                            const OnPass& on_pass = {});

}  // namespace lora
