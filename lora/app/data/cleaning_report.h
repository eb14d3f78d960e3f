#pragma once
// Formats the results of cleaning for the terminal.

#include <string>
#include <vector>

#include "lora/data/cleaning/cleaner.h"

namespace lora {

// "3 rows dropped (exact_duplicates 2, length 1); kept, but look at them: near_duplicates 12": the findings in the
// training data by rule; empty if there are none.
std::string cleaning_line(const CleaningReport& report, const CleaningConfig& config);

// One line per rule: key, action, rows found, rows dropped by it. Its first `examples` findings follow.
std::string rules_table(const CleaningReport& report, const CleaningConfig& config, size_t examples);

// Warnings before training: training rows that are also in the validation data and are kept.
std::vector<std::string> cleaning_warnings(const CleaningReport& report, const CleaningConfig& config);

}  // namespace lora
