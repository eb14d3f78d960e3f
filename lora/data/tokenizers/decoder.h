#pragma once
// `decoder` of tokenizer.json: from the texts of tokens to one text.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lora/data/tokenizers/json_view.h"

namespace lora {

// Changes the texts of a list of tokens, or makes fewer of them.
using Decoder = std::function<void(std::vector<std::string>&)>;

// The steps of `object`, in order: Sequence, Replace, ByteFallback, Fuse, Strip, Metaspace, ByteLevel. Throws
// ModelError for another one. ByteLevel expects texts that are bytes already.
std::vector<Decoder> read_decoder(const JsonView& object);

// The bytes that a text in ByteLevel's alphabet (a printable character for each byte) stands for; false where it has
// other characters. GPT-2: https://github.com/openai/gpt-2/blob/master/src/encoder.py
bool from_byte_alphabet(std::string_view text, std::string& bytes);

// "<0x0A>": 10; -1 for anything else.
int byte_of_name(std::string_view token);

// U+FFFD where `bytes` are no UTF-8, as AlignedText's repair_utf8.
std::string repaired_utf8(std::string_view bytes);

}  // namespace lora
