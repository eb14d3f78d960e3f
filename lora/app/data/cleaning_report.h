#pragma once
// What cleaning found, for the person at the terminal.

#include <string>
#include <vector>

#include "lora/data/cleaning/cleaner.h"

namespace lora {

// "3 rows dropped (exact_duplicates 2, length 1); kept, but look at them: near_duplicates 12": what was found in the
// training data by key, empty where nothing was.
std::string cleaning_line(const CleaningReport& report, const CleaningConfig& config);

// A line a rule: key, action, rows found, rows dropped by it; and below each its first `examples` findings.
std::string rules_table(const CleaningReport& report, const CleaningConfig& config, size_t examples);

// What is worth a warning before training: rows that also stand in the validation data and stay.
std::vector<std::string> cleaning_warnings(const CleaningReport& report, const CleaningConfig& config);

}  // namespace lora
