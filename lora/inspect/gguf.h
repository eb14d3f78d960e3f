#pragma once
// Inspects GGUF files: metadata and tensors of a model or an adapter.

#include <filesystem>

#include "lora/inspect/inspection.h"

namespace lora {

bool is_gguf(const std::filesystem::path& file);  // decides by the first bytes

// Adds the metadata, the tensors and what is odd. Throws ModelError for a damaged file.
void describe_gguf(const std::filesystem::path& file, bool each, Inspection& inspection);

}  // namespace lora
