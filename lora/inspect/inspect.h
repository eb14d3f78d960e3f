#pragma once
// lora-inspect: describes a run, a checkpoint, an adapter or a model file.

#include <filesystem>
#include <string>

#include "lora/inspect/inspection.h"

namespace lora {

struct InspectOptions {
  std::filesystem::path base = {};  // an adapter's base model; empty: the one the adapter names, if it exists
  bool each = false;                // one row for each module and tensor
  bool read_values = true;          // searches for NaN, infinities and zeros; reads every byte of a model
};

// `path` is a run, a checkpoint, a PEFT adapter, a model's directory, a safetensors file or a GGUF file. Throws
// ModelError for anything else and for a damaged header. Problems within a readable file go to `odd`. Changes nothing.
Inspection inspect(const std::filesystem::path& path, const InspectOptions& options);

}  // namespace lora
