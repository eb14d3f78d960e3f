#pragma once
// The ids of a text's tokens.

#include <span>
#include <string_view>
#include <vector>

#include "lora/data/tokenizer.h"

namespace lora::test {

// `special`: names of special tokens in the text become those tokens.
inline std::vector<int64_t> ids_of(const Tokenizer& tokenizer, std::string_view text, bool special = false) {
  const std::vector<TextRange> everywhere = {{0, text.size()}};
  std::vector<int64_t> ids;
  for (const Token& token :
       tokenizer.encode(text, special ? std::span<const TextRange>(everywhere) : std::span<const TextRange>())) {
    ids.push_back(token.id);
  }
  return ids;
}

}  // namespace lora::test
