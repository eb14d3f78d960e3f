#pragma once
// A dry run where there is only a config.json: what the recipe would need in memory, without a byte of it taken.

#include <string>

#include "lora/recipe/recipe.h"

namespace lora {

// Whether the recipe's model directory has a config.json and no weights.
bool has_config_alone(const ModelSection& section);

// The memory plan of such a model with its adapters, of shapes alone: weights and adapters are on the meta device. It
// begins with what was not read, and with what was supposed in its place: without a tokenizer every sample is
// max_length long. Throws as loading, adapting and planning do.
std::string config_plan(const Recipe& recipe);

}  // namespace lora
