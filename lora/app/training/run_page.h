#pragma once
// What report.html tells of a run beside its metrics.

#include <string>
#include <vector>

#include "lora/app/training/active_run.h"
#include "lora/report/run_record.h"

namespace lora {

// Before the first step: the model, the plan, what is adapted, the data and what was found in them. `name`: the run's.
RunRecord record_of_start(const PlannedRun& run, const std::string& name);

// Held-out rows with what was answered before (null: nobody asked) and after training (null: not yet). At most `most`.
std::vector<ReportSample> report_samples(const std::vector<Question>& questions, const Answers* before,
                                         const Answers* after, size_t most = 20);

// Label, predicted label and how many samples.
std::vector<std::array<int64_t, 3>> report_confusion(const Confusion& confusion);

}  // namespace lora
