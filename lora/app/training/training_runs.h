#pragma once
// The trainings of one recipe file on one base: a single one, or one for each adapter of its list, which take turns of
// a step each.
//
// A turn is a whole optimizer step of one adapter. Rows of several adapters in one pass would save nothing: a pass
// takes 512 tokens, where the products with the base's weights are bound by arithmetic and not by reading the weights,
// so that twice the rows take twice the time. (Measured on a busy core for 576 × 1,536 and 2,048² weights: FLOP/s no
// higher at 1,024 or 2,048 rows than at 512 within the noise, in float32 and bfloat16, but for one reading.) In turns,
// each run is the very run that it would be alone: same rows, same bits; only the memory plan, which counts the others'
// optimizers, may choose smaller passes.

#include <memory>
#include <vector>

#include "lora/app/training/training_run.h"

namespace lora {

using TrainingRuns = std::vector<std::unique_ptr<TrainingRun>>;

// Errors as TrainingRun's; a used directory is found before any other is locked.
TrainingRuns make_runs(const std::vector<NamedRecipe>& recipes, const RunOptions& options, const Tokenizer& tokenizer);

// Plans each run's passes beside what the others hold; the largest plan is the process's peak.
void plan_runs(const TrainingRuns& runs, int64_t machine_bytes);

// Steps in rotation until each run has its end; one that ends early leaves the rotation. On a stop signal every run
// that goes on writes a checkpoint. A NumericsError of one is thrown on with its name, after the others have written
// theirs.
void take_turns(const TrainingRuns& runs);

}  // namespace lora
