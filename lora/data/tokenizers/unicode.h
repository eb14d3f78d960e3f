#pragma once
// Unicode properties for tokenizers, from utf8proc's tables (Unicode 15) and those of newer_characters.h.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lora {

constexpr char32_t kReplacement = 0xFFFD;

struct Character {
  char32_t code;
  size_t length;  // in bytes
};

// The character that begins at `at`. If it is incomplete or malformed: U+FFFD with length 1.
Character character_at(std::string_view text, size_t at);
// The start of the character that ends at `end` > 0.
size_t character_before(std::string_view text, size_t end);
void append_character(std::string& text, char32_t code);

bool is_white_space(char32_t code);     // property White_Space
bool is_word_character(char32_t code);  // \w: alphabetic, marks, decimal digits, connectors, joiners
bool is_number(char32_t code);          // categories N*
bool is_punctuation(char32_t code);     // ASCII punctuation, and categories P*

bool is_mark(char32_t code);             // categories M*
bool is_nonspacing_mark(char32_t code);  // category Mn
bool is_control(char32_t code);          // categories Cc, Co, and Cf as of Unicode 8
// The lower case of a character; empty if it is already lower case.
std::string to_lowercase(char32_t code);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// `text` (valid UTF-8) in a Unicode normal form (UAX 15).
std::string normalized(std::string_view text, NormalForm form);
// The first position at or after `at` of a segment that may not be in `form`; text.size() if there is none.
size_t first_not_normal(std::string_view text, size_t at, NormalForm form);
// The end of the segment that begins at `at`: the next character that cannot combine with those before it.
size_t stretch_end(std::string_view text, size_t at);

// The end of the grapheme cluster that begins at `at`: a character and those that are shown with it (UAX 29). `text` is
// valid UTF-8.
size_t cluster_end(std::string_view text, size_t at);

}  // namespace lora
