#pragma once
// Which models' layers can be one operation each (ops/fused_layer.h).

#include <string>

#include "models/config.h"

namespace lora {

// What the family has that the operation does not compute, as a reason for the person; empty where it computes all.
std::string beyond_fused(const ModelConfig& config);

}  // namespace lora
