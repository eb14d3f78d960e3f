#pragma once
// Inspects runs and checkpoints: the progress, and the course of the loss.

#include <filesystem>

#include "lora/inspect/inspection.h"

namespace lora {

// Adds the contents of recipe.yaml, metrics.jsonl, checkpoints/ and exports. Returns the directory of the weights to
// inspect: the newest whole checkpoint, else adapter/, else an empty path.
std::filesystem::path describe_run(const std::filesystem::path& run, Inspection& inspection);

// Adds the contents of state.json and the manifest of one checkpoint.
void describe_checkpoint(const std::filesystem::path& checkpoint, Inspection& inspection);

}  // namespace lora
