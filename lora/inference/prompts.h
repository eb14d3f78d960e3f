#pragma once
// Prompts from a file, each answered by the adapter it names.

#include <filesystem>
#include <string>
#include <vector>

#include "lora/adapters/adapter_set.h"
#include "lora/data/tokenizer.h"
#include "lora/inference/generation.h"

namespace lora {

struct Prompt {
  std::string text;
  std::string adapter;  // empty: the bare base
};

// Rows of JSONL or of one JSON array: {"prompt": "…", "adapter": "fr"}. A row without an adapter is of `otherwise`;
// "none" is the bare base. DataError for a row that is none or names an adapter that `set` lacks, with its line.
std::vector<Prompt> load_prompts(const std::filesystem::path& file, const AdapterSet& set,
                                 const std::string& otherwise);

// The texts that follow the prompts, in their order. Prompts are answered many at a time, also those of different
// adapters, but for adapters that change more than projections of decoder layers: these have batches of their own.
std::vector<std::string> answer_prompts(AdapterSet& set, const Tokenizer& tokenizer, const std::vector<Prompt>& prompts,
                                        const GenerationConfig& config);

}  // namespace lora
