#pragma once
// A tokenizer as GGUF's metadata, for llama.cpp to read texts as the model was trained on them.

#include <filesystem>

#include "lora/data/tokenizer.h"
#include "models/io/gguf.h"
#include "models/network/config.h"

namespace lora {

// The tokens of a Hugging Face directory, one a row of the model's vocabulary (rows that no token has are unused), with
// the special ids and the chat template. From tokenizer.model (SentencePiece BPE) or, without one, from a
// tokenizer.json of byte-level BPE whose pre-tokenizer is known to llama.cpp: gpt-2, llama-bpe, qwen2, smollm. Error
// (exit code 2) that says what llama.cpp would read otherwise: unigram models, normalization, an unknown pre-tokenizer.
// Without a tokenizer the file says that it has no vocabulary.
GgufMetadata gguf_vocabulary(const std::filesystem::path& directory, const Tokenizer* tokenizer,
                             const ModelConfig& config);

}  // namespace lora
