#pragma once
// Cleaning reports as text, stored with the cleaned data.

#include <optional>
#include <string>

#include "lora/data/cleaning/cleaner.h"

namespace lora {

std::string to_notes(const CleaningReport& report);
// Returns nothing for a text that to_notes() did not write.
std::optional<CleaningReport> from_notes(const std::string& notes);

}  // namespace lora
