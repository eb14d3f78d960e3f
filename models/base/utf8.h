#pragma once
// Reads UTF-8 one character at a time.

#include <cstddef>
#include <string_view>

namespace lora {

// The length in bytes (1 to 4) of the character that begins at `at`, or 0 if there is no complete well-formed character
// (Unicode 15, table 3-7: no overlong forms, no surrogates, nothing beyond U+10FFFF).
size_t utf8_length(std::string_view text, size_t at);

// Whether the whole text is such characters.
bool is_utf8(std::string_view text);

inline constexpr char32_t kInvalid = 0xFFFFFFFF;

struct CodePoint {
  char32_t value;  // kInvalid: a byte that is not part of a well-formed character
  size_t length;   // in bytes
};

// The character that begins at `at`, which must be inside the text.
CodePoint code_point_at(std::string_view text, size_t at);

}  // namespace lora
