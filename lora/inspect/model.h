#pragma once
// A model's directory: config.json beside its tensors.

#include <filesystem>

#include "lora/inspect/inspection.h"

namespace lora {

// Adds the model's shape, its tensors, and what of them config.json has no place for or misses.
void describe_model(const std::filesystem::path& directory, bool each, bool read_values, Inspection& inspection);

}  // namespace lora
