#pragma once
// Reads vocab.json and merges.txt, the older form of a tokenizer.json, for example of GPT-2 and Qwen2.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace lora {

// Builds the tokenizer.json of the two files in `directory`. The missing settings follow `tokenizer_class` of
// tokenizer_config.json: GPT2Tokenizer or Qwen2Tokenizer, with or without "Fast". Throws ModelError for any other
// class.
nlohmann::json read_vocab_and_merges(const std::filesystem::path& directory);

}  // namespace lora
