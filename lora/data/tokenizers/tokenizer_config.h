#pragma once
// Reads special and added tokens from the small JSON files of a tokenizer.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lora/data/tokenizers/added_tokens.h"

namespace lora {

struct TokenizerConfig {
  std::optional<std::string> bos, eos, pad;
  std::optional<bool> add_bos, add_eos;
  std::string type;                          // tokenizer_class, without "Fast"
  std::string model_type;                    // of config.json
  bool has_added_tokens = false;             // tokenizer_config.json has added_tokens_decoder
  bool has_config = false;                   // there is a tokenizer_config.json
  std::optional<bool> legacy;                // SentencePiece: adds a space to each part between special tokens
  std::vector<AddedToken> added;             // with their ids
  std::vector<std::string> special;          // every name that is declared a special token, with or without an id
  std::vector<std::filesystem::path> files;  // the files that were read
};

// Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json in `directory`, if they exist, and the
// model type and the tokenizer's class in config.json. Names of special tokens are those of special_tokens_map.json,
// but of tokenizer_config.json alone where that has added_tokens_decoder, as in transformers 5. Of the rest an earlier
// file takes precedence. Throws ModelError with file and key.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& directory);

// Reads an entry of `added_tokens` or `added_tokens_decoder`, without the id.
class JsonView;
AddedToken read_added_token(const JsonView& entry);

// Larger ids are refused: tables are as long as the largest id, and no vocabulary has that many.
constexpr int64_t kMostIds = int64_t{1} << 22;

}  // namespace lora
