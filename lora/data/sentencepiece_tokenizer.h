#pragma once
// A Tokenizer for SentencePiece models: BPE and unigram, byte fallback, user-defined and control symbols.
// Kudo and Richardson: SentencePiece, EMNLP 2018.

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "lora/data/tokenizer.h"
#include "lora/data/tokenizers/surroundings.h"
#include "lora/data/tokenizers/tokenizer_config.h"

namespace lora {

// Reads `model`; files() returns `files`. BOS, EOS and PAD are those of `config`, else the model's control symbols.
// `around`: which of them stand around a text, where a tokenizer.json says so; else as tokenizers/surroundings.h has
// it. Added tokens split the text. If `config.legacy` is true, the space before the first word is added to each part
// between them, otherwise only to the first part. Throws ModelError if the file is unreadable or not a complete model,
// or if a named token has no id.
std::unique_ptr<Tokenizer> load_sentencepiece(const std::filesystem::path& model, const TokenizerConfig& config,
                                              std::vector<std::filesystem::path> files,
                                              const std::optional<SettledSurroundings>& around = {});

}  // namespace lora
