#pragma once
// What cleaning found as text, to be kept with the data it was found in.

#include <optional>
#include <string>

#include "lora/data/cleaning/cleaner.h"

namespace lora {

std::string to_notes(const CleaningReport& report);
// None for a text that is not to_notes().
std::optional<CleaningReport> from_notes(const std::string& notes);

}  // namespace lora
