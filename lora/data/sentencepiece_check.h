#pragma once
// What sentencepiece takes on trust in a model file, and would read out of bounds or loop on where it is wrong.

#include <string>
#include <string_view>

namespace lora {

// Walks the bytes of a serialized ModelProto (sentencepiece_model.proto). Throws ModelError that begins with `name` for
// bytes that are no such message, a score that is not finite, and a normalization table (a double-array trie of 32-bit
// units, see Darts-clone) whose links leave it. What sentencepiece checks by itself is left to it.
void check_sentencepiece_model(std::string_view bytes, const std::string& name);

}  // namespace lora
