#pragma once
// Prompts from a file; each names the adapter that answers it.

#include <filesystem>
#include <string>
#include <utility>
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
// `otherwise`; "none" is the base model. Puts the names of other columns into `unread`, each once. Throws DataError with
// the line for an invalid row or an adapter that is not in `set`.
std::vector<Prompt> load_prompts(const std::filesystem::path& file, const AdapterSet& set, const std::string& otherwise,
                                 std::vector<std::string>& unread);

struct PromptAnswer {
  // A token of the answer, with the likeliest ones at its place.
  struct Token {
    int64_t id;
    double log_probability;
    std::vector<std::pair<int64_t, double>> likeliest;  // ids and log-probabilities, likeliest first
  };
  std::string text;
  int64_t length = 0;         // tokens: prompt and answer
  std::vector<Token> tokens;  // where `likeliest` was asked for
};

// Returns the answers in the order of the prompts, which are answered side by side whatever their adapters: each by its
// adapter as if it were alone. `allow_special_tokens`: see encode_prompt(). `likeliest`: how many of the likeliest tokens
// are told with each token; negative: none, and no tokens. Afterwards the bare base is active.
std::vector<PromptAnswer> answer_prompts(AdapterSet& set, const Tokenizer& tokenizer,
                                         const std::vector<Prompt>& prompts, const GenerationConfig& config,
                                         bool allow_special_tokens = false, int64_t likeliest = -1);

}  // namespace lora
