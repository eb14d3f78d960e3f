#pragma once
// A Tokenizer for tokenizer.json, the format of Hugging Face's `tokenizers`. Models: BPE over bytes (GPT-2, Llama 3,
// Qwen, SmolLM) and over characters with byte fallback (Llama 2, Mistral, Gemma, Phi-3).

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "lora/data/tokenizer.h"
#include "lora/data/tokenizers/surroundings.h"
#include "lora/data/tokenizers/tokenizer_config.h"

namespace lora {

// `document` is the parsed file `name`, or is made of a vocab.json of that name, as `file` says; files() returns
// `files`. The file determines how text becomes ids. `config` adds tokens and names BOS, EOS and PAD. Throws ModelError
// with file and key for an error or an unsupported setting.
std::unique_ptr<Tokenizer> make_json_tokenizer(const nlohmann::json& document, const std::string& name,
                                               const TokenizerConfig& config, std::vector<std::filesystem::path> files,
                                               TokenizerFile file = TokenizerFile::kJson);

}  // namespace lora
