#pragma once
// PEFT adapters: what each pair adds to its weight.

#include <filesystem>
#include <optional>
#include <string>

#include "lora/adapters/config.h"
#include "lora/inspect/inspection.h"
#include "lora/inspect/tensors.h"

namespace lora {

// Whether the file holds low-rank pairs under PEFT's names.
bool holds_adapter(const SafetensorsFile& file);

// Adds what adapter_config.json in `directory` says; an option that cannot be read or is not supported is odd, not an
// error. Nothing where the scaling is then not known.
std::optional<AdapterConfig> describe_adapter_config(const std::filesystem::path& directory, Inspection& inspection);

// Adds a table of the pairs with rank, α, scaling, and norm and effective rank of each ΔW, or of those of one kind
// together; what is trained beside them; and what is odd. `base`: a model's directory, for ‖ΔW‖ / ‖W‖ and for layers
// that the adapter leaves out; may be empty.
void describe_adapter(const SafetensorsFile& file, const std::optional<AdapterConfig>& config,
                      const std::filesystem::path& base, bool each, Inspection& inspection);

}  // namespace lora
