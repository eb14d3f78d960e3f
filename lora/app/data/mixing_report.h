#pragma once
// Shares of sources, wanted and realised, for the person at the terminal.

#include <string>
#include <vector>

#include "lora/data/mixing.h"

namespace lora {

// A line a source: the wanted share beside that of the epoch, its samples and tokens there, and passes an epoch.
std::string mixing_table(const std::vector<Mixture::Share>& shares, const MixingConfig& config);

}  // namespace lora
