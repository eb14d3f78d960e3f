#pragma once
// Writes a tokenizer as GGUF metadata, so that llama.cpp tokenises as in training.

#include <filesystem>

#include "lora/data/template_files.h"
#include "lora/data/tokenizer.h"
#include "models/io/gguf.h"
#include "models/network/config.h"

namespace lora {

// The tokens of a Hugging Face directory, one per row of the model's vocabulary (rows without a token are unused), with
// the special ids and these chat templates. `ends`: the tokens that end an answer; the first that is not EOS becomes
// EOT. Reads tokenizer.model (SentencePiece BPE) or, without one, a tokenizer.json of byte-level BPE whose
// pre-tokenizer llama.cpp knows: gpt-2, llama-bpe, qwen2, smollm. Throws ExportError for anything that llama.cpp would
// read differently: unigram models, normalization, an unknown pre-tokenizer. Without a tokenizer, the metadata says
// that there is no vocabulary.
GgufMetadata gguf_vocabulary(const std::filesystem::path& directory, const Tokenizer* tokenizer,
                             const ModelConfig& config, const TemplateFiles& templates,
                             const std::vector<int64_t>& ends);

}  // namespace lora
