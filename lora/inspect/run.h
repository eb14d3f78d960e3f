#pragma once
// Runs and checkpoints: how far they came, and how the loss went.

#include <filesystem>

#include "lora/inspect/inspection.h"

namespace lora {

// Adds what recipe.yaml, metrics.jsonl, checkpoints/ and exports say. Returns where the weights to look at are: the
// newest whole checkpoint, else adapter/, else nothing.
std::filesystem::path describe_run(const std::filesystem::path& run, Inspection& inspection);

// Adds what state.json and the manifest say of one checkpoint.
void describe_checkpoint(const std::filesystem::path& checkpoint, Inspection& inspection);

}  // namespace lora
