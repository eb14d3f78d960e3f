#pragma once
// tokenizer.json, the format of Hugging Face's `tokenizers`, behind Tokenizer. Models: BPE over bytes (GPT-2, Llama 3,
// Qwen, SmolLM) and over characters with byte fallback (Llama 2, Mistral, Gemma, Phi-3).

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "lora/data/tokenizer.h"
#include "lora/data/tokenizers/tokenizer_config.h"

namespace lora {

// `document` is the parsed file called `name`; `files` is what files() gives. The file decides how text becomes ids and
// what it adds in front and behind; `config` adds tokens and names BOS, EOS and PAD. Throws ModelError with file and
// key for what is wrong or not supported.
std::unique_ptr<Tokenizer> make_json_tokenizer(const nlohmann::json& document, const std::string& name,
                                               const TokenizerConfig& config, std::vector<std::filesystem::path> files);

}  // namespace lora
