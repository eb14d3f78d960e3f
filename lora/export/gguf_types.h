#pragma once
// What the GGUF exports have in common: the number format asked for, and the metadata that every file begins with.

#include <filesystem>
#include <string>

#include "lora/export/gguf_architecture.h"
#include "models/io/gguf.h"

namespace lora {

// The number format of llama.cpp's name: f32, f16, bf16 or q8_0. For auto, that of `own`: F32 or BF16.
GgmlType gguf_type(const std::string& outtype, at::ScalarType own);

// general.*: `type` is "model" or "adapter", the name the base directory's.
GgufMetadata gguf_head(const GgufArchitecture& architecture, const std::string& type,
                       const std::filesystem::path& model_directory, GgmlType numbers);

}  // namespace lora
