#pragma once
// The reference of a preference run: log-probabilities under the model that training begins from, which is in memory
// before the first step and before a checkpoint is read. They are computed once and kept in the data cache.

#include <string>

#include "lora/app/training/planned_run.h"

namespace lora {

// Gives the trainer what its objective needs. The run's adapter must be active and as it is at the start. Returns a
// line for a person: how the reference was had; empty where none is needed. A cache that cannot be written is not an
// error. `on_pass`: as of evaluate(), of the training data and then of the validation data.
std::string prepare_references(const PlannedRun& run, const OnPass& on_pass = {});

}  // namespace lora
