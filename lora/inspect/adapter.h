#pragma once
// Inspects PEFT adapters: the update that each pair adds to its weight.

#include <filesystem>
#include <optional>
#include <string>

#include "lora/adapters/config.h"
#include "lora/inspect/inspection.h"
#include "lora/inspect/tensors.h"

namespace lora {

// True if the file holds low-rank pairs under PEFT's names.
bool holds_adapter(const SafetensorsFile& file);

// Adds the contents of adapter_config.json in `directory`. An option that is unreadable or unsupported is reported as
// odd, not thrown. Returns nothing if the scaling is then unknown.
std::optional<AdapterConfig> describe_adapter_config(const std::filesystem::path& directory, Inspection& inspection);

// Adds a table with rank, α, scaling, norm and effective rank of each ΔW; without `each`, one row per kind of module.
// Also adds the modules that are trained in full, and what is odd. `base` is the directory of the base model, for ‖ΔW‖
// / ‖W‖ and for the layers that the adapter skips; it may be empty.
void describe_adapter(const SafetensorsFile& file, const std::optional<AdapterConfig>& config,
                      const std::filesystem::path& base, bool each, Inspection& inspection);

}  // namespace lora
