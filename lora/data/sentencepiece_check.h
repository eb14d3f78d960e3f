#pragma once
// Checks what sentencepiece trusts in a model file; errors there would make it read out of bounds or loop forever.

#include <string>
#include <string_view>

namespace lora {

// Checks a serialized ModelProto (sentencepiece_model.proto). Throws ModelError that begins with `name` for a malformed
// message, a score that is not finite, and a normalization table (a double-array trie of 32-bit units, see Darts-clone)
// with links outside of it. Does not repeat sentencepiece's own checks.
void check_sentencepiece_model(std::string_view bytes, const std::string& name);

// Whether the bytes are a vocabulary of tiktoken, which Meta's own Llama 3 files call tokenizer.model too: lines of a
// piece in base64 and its rank.
bool is_tiktoken(std::string_view bytes);

}  // namespace lora
