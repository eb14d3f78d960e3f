#pragma once
// Inspects a model's directory: config.json and the tensors.

#include <filesystem>

#include "lora/inspect/inspection.h"

namespace lora {

// Adds the model's shape, its tensors, and each tensor that is missing or does not belong according to config.json.
void describe_model(const std::filesystem::path& directory, bool each, bool read_values, Inspection& inspection);

}  // namespace lora
