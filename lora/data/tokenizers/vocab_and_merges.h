#pragma once
// vocab.json and merges.txt, as GPT-2 and Qwen2 are also given out: a tokenizer.json in two pieces.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace lora {

// The tokenizer.json that the two files in `directory` make. What they leave open follows `tokenizer_class` of
// tokenizer_config.json: GPT2Tokenizer or Qwen2Tokenizer, "Fast" or not. Throws ModelError for another one.
nlohmann::json read_vocab_and_merges(const std::filesystem::path& directory);

}  // namespace lora
