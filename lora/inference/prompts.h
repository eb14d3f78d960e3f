#pragma once
// Prompts from a file; each names the adapter that answers it.

#include <filesystem>
#include <string>
#include <vector>

#include "lora/adapters/adapter_set.h"
#include "lora/data/tokenizer.h"
#include "lora/inference/generation.h"

namespace lora {

struct Prompt {
  std::string text;
  std::string adapter;  // empty: the base model
};

// Reads rows of JSONL or of one JSON array: {"prompt": "…", "adapter": "fr"}. A row without an adapter uses
// `otherwise`; "none" is the base model. Throws DataError with the line for an invalid row or an adapter that is not in
// `set`.
std::vector<Prompt> load_prompts(const std::filesystem::path& file, const AdapterSet& set,
                                 const std::string& otherwise);

// Returns the answers in the order of the prompts. One batch may hold prompts of different adapters. Adapters that
// change more than projections of decoder layers get batches of their own. `allow_special_tokens`: see encode_prompt().
std::vector<std::string> answer_prompts(AdapterSet& set, const Tokenizer& tokenizer, const std::vector<Prompt>& prompts,
                                        const GenerationConfig& config, bool allow_special_tokens = false);

}  // namespace lora
