#pragma once
// Characters of Unicode 15 and 16, which the tables of PCRE2 10.42 (Unicode 14) and utf8proc 2.8 (15) lack in part.
// `tokenizers` knows them. For what these libraries know already, both say the same.

#include <span>
#include <string_view>

namespace lora {

struct NewerCharacters {
  char32_t first, last;
  std::string_view category;  // "Lu"
};

// In ascending order.
std::span<const NewerCharacters> newer_characters();

// The category of one of them; empty for any other character.
std::string_view newer_category(char32_t code);

}  // namespace lora
