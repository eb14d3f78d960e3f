#pragma once
// Reads `decoder` of tokenizer.json: joins the texts of tokens.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lora/data/tokenizers/json_view.h"

namespace lora {

// Changes a list of token texts; may shorten the list.
using Decoder = std::function<void(std::vector<std::string>&)>;

// The steps of `object`, in order: Sequence, Replace, ByteFallback, Fuse, Strip, Metaspace, BPEDecoder, ByteLevel.
// Throws ModelError for any other. ByteLevel expects texts that are already bytes.
std::vector<Decoder> read_decoder(const JsonView& object);

// ByteLevel alone.
Decoder byte_level_decoder();

// Decodes a text in ByteLevel's alphabet (one printable character per byte) to bytes. Returns false if the text has
// other characters. GPT-2: https://github.com/openai/gpt-2/blob/master/src/encoder.py
bool from_byte_alphabet(std::string_view text, std::string& bytes);

// Appends the character that stands for a byte there.
void append_in_byte_alphabet(char byte, std::string& text);

// "<0x0A>": 10; -1 for anything else.
int byte_of_name(std::string_view token);

// Replaces invalid UTF-8 by U+FFFD, as AlignedText's repair_utf8.
std::string repaired_utf8(std::string_view bytes);

}  // namespace lora
