#pragma once
// Settings of a recipe that do not fit its model, its data or the run that it resumes.

#include <string>
#include <vector>

#include "lora/app/training/planned_run.h"

namespace lora {

// A line each, for a person, where
// - max_length is more than the model's positions,
// - batch_size is more than the rows of an epoch,
// - eval_every asks for evaluations without validation data,
// - prepared data has validation samples that are not read,
// - a resumed run continues at another learning rate than the one it had come to.
std::vector<std::string> start_notes(const PlannedRun& run);

}  // namespace lora
