#pragma once
// The one table of training methods. A new method is a file pair in methods/ and a line in registry.cpp.

#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/method.h"
#include "lora/adapters/training_hooks.h"

namespace lora {

// In the order in which a recipe's messages list them.
const std::vector<Method>& methods();

// The names that `adapter.method` accepts: those of methods().
const Names& method_names();

// The row of that name. Error (exit code 2) where there is none.
const Method& find_method(const std::string& name);

// The config with a name that stands for another method (rslora) resolved.
AdapterConfig resolved_method(AdapterConfig config);

// The hooks of adapted.config.method, or null. May note `total_steps` in adapted.config. Throws RecipeError where a run
// of that many steps cannot do what is asked.
std::unique_ptr<TrainingHooks> training_hooks(AdaptedModel& adapted, int64_t total_steps);

}  // namespace lora
