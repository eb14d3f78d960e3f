#pragma once
// What a person reads before the first step. Every function returns whole lines.

#include <string>
#include <vector>

#include "lora/app/training/active_run.h"

namespace lora {

// What adapt() will take its time for; empty: nothing.
std::string long_work(const PreparedRun& run);

// The program, the machine, the base.
std::string base_report(const LlamaForCausalLM& model, const std::string& path, bool dry_run);

// What is trained, on what data, in how much memory.
std::string run_report(const PlannedRun& run);

// The first rows as the model will see them.
std::string preview(const PlannedRun& run);

// Where a resumed run continues; empty: from the beginning.
std::string resume_report(const ActiveRun& run);

}  // namespace lora
