#pragma once
// What the small JSON files beside a tokenizer say of its special and added tokens.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lora/data/tokenizers/added_tokens.h"

namespace lora {

struct TokenizerConfig {
  std::optional<std::string> bos, eos, pad;
  std::optional<bool> add_bos, add_eos;
  std::optional<bool> legacy;                // SentencePiece: every stretch between special tokens begins with a space
  std::vector<AddedToken> added;             // with their ids
  std::vector<std::string> special;          // every name that is called a special token, with or without an id
  std::vector<std::filesystem::path> files;  // that were read
};

// Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json where they are in `directory`; what an
// earlier one says holds. Throws ModelError with file and key.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& directory);

// One entry of `added_tokens` or `added_tokens_decoder`, all but the id.
class JsonView;
AddedToken read_added_token(const JsonView& entry);

// Ids above it are refused: no vocabulary is as large, and tables are as long as the largest id.
constexpr int64_t kMostIds = int64_t{1} << 22;

}  // namespace lora
