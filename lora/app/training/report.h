#pragma once
// What a run tells the person at the terminal, as text.

#include <string>
#include <vector>

#include "lora/adapters/adapted_model.h"
#include "lora/data/dataset.h"
#include "lora/inference/exact_match.h"
#include "lora/terminal/progress.h"
#include "lora/terminal/table.h"
#include "lora/training/memory_plan.h"
#include "lora/training/trainer.h"

namespace lora {

// One row a kind of module, layers counted together: what was adapted, rank, α, shape and parameters. Empty where
// no module is adapted.
TextTable adapted_kinds(const AdaptedModel& adapted);

// The same as text, with what is trained besides, and the trainable share.
std::string adaptation_table(const AdaptedModel& adapted);

// "49,152 of 623,488 parameters are trained (7.9 %)"
std::string trained_line(const AdaptedModel& adapted);

// "7,473 samples, 1,204,113 tokens, 901,113 of them trained; 3 cut at max_length, 1 dropped"
std::string dataset_line(const Dataset& dataset);

// "3: high (12), low (1,204), middle (0)": how many samples have each label. Of many labels, unless `all` are asked
// for, the least frequent and the most frequent.
std::string labels_line(const Dataset& dataset, const LabelNames& names, bool all);

// Where the time of `steps` steps went, in milliseconds a step, with the rate of what is products beside `peak`
// (FLOP/s).
std::string profile_table(const WorkTimes& times, int64_t steps, double seconds, double peak);

// How many decoder layers are one fused operation under `plan`, and why the others, or an adapted head, are not.
std::string layers_line(const LlamaForCausalLM& model, ExecutionPlan plan);

// The bytes that a run holds at the peak, by purpose, and how it computes its passes.
std::string memory_line(const MemoryPlan& plan);
std::string passes_line(ExecutionPlan plan);

// Groups and their rates.
std::string groups_table(const std::vector<ParameterGroup>& groups);

// Exact matches, and `show` rows with the expected answer and the given one. `before` may be null.
std::string answers_report(const std::vector<Question>& questions, const Answers* before, const Answers& after,
                           int64_t show);

// "fr: validation", or the work alone where the run has no name.
std::string work_of(const std::string& adapter, const std::string& work);

// A step as the progress display shows it. Where several adapters are trained, `adapter` is the name of the one that
// the step was for; otherwise it is empty.
ProgressStep progress_step(const StepMetrics& metrics, at::Device device, const std::string& adapter = "");

// "validation loss 1.2345  perplexity 3.437  (best so far)"
std::string evaluation_line(const Evaluation& evaluation, bool best, const std::string& adapter = "");

}  // namespace lora
