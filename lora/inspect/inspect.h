#pragma once
// lora-inspect: what is at a path, whatever it is.

#include <filesystem>
#include <string>

#include "lora/inspect/inspection.h"

namespace lora {

struct InspectOptions {
  std::filesystem::path base = {};  // of an adapter; empty: where the adapter says, if that is there
  bool each = false;                // every module and tensor in a row of its own
  bool read_values = true;          // looks for NaN, infinities and zeros, which reads every byte of a model
};

// A run, a checkpoint, a PEFT adapter, a model's directory, a safetensors or a GGUF file. ModelError for anything else,
// and for a file whose header is damaged; what is odd within a readable one is said in `odd`. Changes nothing.
Inspection inspect(const std::filesystem::path& path, const InspectOptions& options);

}  // namespace lora
