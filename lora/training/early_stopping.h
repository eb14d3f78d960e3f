#pragma once
// The best evaluation of a run, and when to stop for want of a better one.

#include <string>

#include "lora/training/evaluation.h"
#include "lora/training/progress.h"

namespace lora {

// The number that is lowest for the best evaluation. `best_by`: loss, or the name of a measure, which counts negative
// where more of it is better: all but kl and those of rejected answers. Throws NumericsError where it is not finite.
double rank_of(const Evaluation& evaluation, const std::string& best_by);

// Records the evaluation after `progress.step` steps. Returns whether it is the best so far.
bool record_evaluation(Progress& progress, const Evaluation& evaluation, const std::string& best_by);

// Whether `patience` evaluations in a row brought no better one. A patience of 0 never ends.
bool out_of_patience(const Progress& progress, int64_t patience);

}  // namespace lora
