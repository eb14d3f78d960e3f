#pragma once
// GGUF files: metadata and tensors, of a model or of an adapter.

#include <filesystem>

#include "lora/inspect/inspection.h"

namespace lora {

bool is_gguf(const std::filesystem::path& file);  // by its first bytes

// Adds the metadata, the tensors and what is odd. ModelError for a damaged file.
void describe_gguf(const std::filesystem::path& file, bool each, Inspection& inspection);

}  // namespace lora
