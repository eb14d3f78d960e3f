#pragma once
// A training's last stage: the best weights, the answers to held-out rows, the exports.

#include <string>

#include "lora/app/training/active_run.h"

namespace lora {

// Writes what the recipe asks for of a run that has its end; of a run that was stopped, nothing. Returns what a person
// reads about it, whole lines.
std::string finish(ActiveRun& run);

}  // namespace lora
