#pragma once
// The common parts of the GGUF exports: the number format, and the first metadata of every file.

#include <filesystem>
#include <string>

#include "lora/export/gguf_architecture.h"
#include "models/io/gguf.h"

namespace lora {

// The number format of llama.cpp's name: f32, f16, bf16 or q8_0. For auto, that of `own`: F32 or BF16.
GgmlType gguf_type(const std::string& outtype, at::ScalarType own);

// The general.* keys. `type` is "model" or "adapter"; the name is that of the base directory.
GgufMetadata gguf_head(const GgufArchitecture& architecture, const std::string& type,
                       const std::filesystem::path& model_directory, GgmlType numbers);

}  // namespace lora
