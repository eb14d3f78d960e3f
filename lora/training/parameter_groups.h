#pragma once
// Which parameter learns at which rate.

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/adapted_model.h"
#include "lora/training/config.h"

namespace lora {

struct ParameterGroup {
  std::string name;  // "adapter", "base", or the key of learning_rates; "adapter × 16" with LoRA+'s ratio
  double learning_rate;
  std::vector<std::pair<std::string, at::Tensor>> parameters;
};

// Sorts trained parameters into groups: the first key of learning_rates that means a parameter wins, the rest train at
// learning_rate. Keys are the groups "adapter" (tensors that an adapter adds), "head" (lm_head or score) and "base"
// (every other weight of the model), or a module's path or dotted suffix. A key that means no trained parameter is an
// Error (exit code 2) with the nearest names.
//
// With loraplus_lr_ratio each group is two. The second, at the ratio times the group's rate, has the parameters of role
// kB and, as in PEFT's create_loraplus_optimizer, whatever has one dimension (DoRA's magnitude, the weight of a norm).
// Weight decay is the same for all.
std::vector<ParameterGroup> make_parameter_groups(const std::vector<TrainedParameter>& parameters,
                                                  const TrainingConfig& config);

}  // namespace lora
