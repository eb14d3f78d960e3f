#pragma once
// Formats the configured and the actual shares of mixed sources for the terminal.

#include <string>
#include <vector>

#include "lora/data/mixing.h"
#include "lora/terminal/table.h"

namespace lora {

// One line per source: the configured share, the share in the epoch, its samples and tokens there, and passes per
// epoch.
TextTable mixing_rows(const std::vector<Mixture::Share>& shares, const MixingConfig& config);
std::string mixing_table(const std::vector<Mixture::Share>& shares, const MixingConfig& config);

}  // namespace lora
