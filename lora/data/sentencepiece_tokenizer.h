#pragma once
// SentencePiece models behind Tokenizer: BPE and unigram, byte fallback, user-defined and control symbols.
// Kudo and Richardson: SentencePiece, EMNLP 2018.

#include <filesystem>
#include <memory>
#include <vector>

#include "lora/data/tokenizer.h"

namespace lora {

// Reads `model`; `files` is what files() gives. BOS, EOS and PAD are the control symbols that the model names so.
// Throws ModelError where the file cannot be read or is no whole model.
std::unique_ptr<Tokenizer> load_sentencepiece(const std::filesystem::path& model,
                                              std::vector<std::filesystem::path> files);

}  // namespace lora
