#pragma once
// Reads the two kinds of tokenizer that a GGUF vocabulary is made from; see gguf_vocabulary.h.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lora {

// Codes of tokenizer.ggml.token_type.
enum class GgufTokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct GgufTokens {
  std::string model = {};  // tokenizer.ggml.model: llama | gpt2
  std::string pre = {};    // tokenizer.ggml.pre
  std::vector<std::string> texts = {};
  std::vector<float> scores = {};  // for llama
  std::vector<GgufTokenType> types = {};
  std::vector<std::string> merges = {};  // for gpt2
  bool add_space_prefix = false;         // for llama
};

// From the bytes of a tokenizer.model; `name` is its name in errors.
GgufTokens sentencepiece_tokens(const std::string& bytes, const std::string& name);
// From a tokenizer.json.
GgufTokens byte_level_tokens(const nlohmann::json& file, const std::string& name);

}  // namespace lora
