#pragma once
// The best validation loss of a run, and when to stop for want of a better one.

#include "lora/training/progress.h"

namespace lora {

// Records the validation loss after `progress.step` steps. Returns whether it is the best so far.
bool record_validation_loss(Progress& progress, double loss);

// Whether `patience` evaluations in a row brought no better loss. A patience of 0 never ends.
bool out_of_patience(const Progress& progress, int64_t patience);

}  // namespace lora
