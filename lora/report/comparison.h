#pragma once
// Several runs beside one another: what each came to, and what their recipes differ in.

#include <string>
#include <vector>

#include "lora/report/run_record.h"
#include "lora/terminal/table.h"

namespace lora {

using ReportedRuns = std::vector<const ReportedRun*>;

// "62.0 % before, 99.0 % after training", of the first and last rows that tell it; empty where none does.
std::string exact_match(const ReportedRun& run);

// A row a run, in their order; without the columns of which no run has a value. The best validation and the best exact
// match are marked where they can be compared: where recipes do not differ in objective, head and validation data.
TextTable compared_runs(const ReportedRuns& runs);

// A row a key whose values are not the same in all runs, with a column a run. No rows where there is none.
TextTable differing_keys(const ReportedRuns& runs);

}  // namespace lora
