#pragma once
// UTF-8, a character at a time.

#include <cstddef>
#include <string_view>

namespace lora {

// Bytes of the character that begins at `at`: 1 to 4, or 0 where there is no whole well-formed one (Unicode 15, table
// 3-7: no overlong forms, no surrogates, nothing beyond U+10FFFF).
size_t utf8_length(std::string_view text, size_t at);

inline constexpr char32_t kInvalid = 0xFFFFFFFF;

struct CodePoint {
  char32_t value;  // kInvalid: a byte that belongs to no well-formed character
  size_t length;   // in bytes
};

// The character that begins at `at`, which has to be inside the text.
CodePoint code_point_at(std::string_view text, size_t at);

}  // namespace lora
