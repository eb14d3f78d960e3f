#pragma once
// SentencePiece models behind Tokenizer: BPE and unigram, byte fallback, user-defined and control symbols.
// Kudo and Richardson: SentencePiece, EMNLP 2018.

#include <filesystem>
#include <memory>
#include <vector>

#include "lora/data/tokenizer.h"
#include "lora/data/tokenizers/tokenizer_config.h"

namespace lora {

// Reads `model`; `files` is what files() gives. BOS, EOS and PAD are what `config` names, else the control symbols that
// the model names so, and BOS is put in front unless `config` says otherwise. Added tokens split the text; the space
// that belongs before a first word is put before each stretch between them where `config.legacy` is true, else before
// the first alone. Throws ModelError where the file cannot be read or is no whole model, or where a named token has no
// id.
std::unique_ptr<Tokenizer> load_sentencepiece(const std::filesystem::path& model, const TokenizerConfig& config,
                                              std::vector<std::filesystem::path> files);

}  // namespace lora
