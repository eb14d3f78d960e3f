#pragma once
// What tokenizers ask of Unicode, by utf8proc's tables (Unicode 15).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lora {

constexpr char32_t kReplacement = 0xFFFD;

struct Character {
  char32_t code;
  size_t length;  // bytes
};

// The character that begins at `at`; where there is none whole and well-formed, U+FFFD of one byte.
Character character_at(std::string_view text, size_t at);
// Where the character that ends at `end` > 0 begins.
size_t character_before(std::string_view text, size_t end);
void append_character(std::string& text, char32_t code);

bool is_white_space(char32_t code);     // property White_Space
bool is_word_character(char32_t code);  // \w: what is alphabetic, marks, decimal digits, connectors, joiners
bool is_number(char32_t code);          // categories N*
bool is_punctuation(char32_t code);     // ASCII punctuation, and categories P*

bool is_mark(char32_t code);  // categories M*
// The lower case of a character, or nothing where it is that already.
std::string to_lowercase(char32_t code);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// `text` (valid UTF-8) in a normal form of Unicode (UAX 15).
std::string normalized(std::string_view text, NormalForm form);
// The first place at or after `at` where a stretch begins that may not be in `form`; text.size() where there is none.
size_t first_not_normal(std::string_view text, size_t at, NormalForm form);
// The end of the stretch that begins at `at`: before the next character that nothing before it can join.
size_t stretch_end(std::string_view text, size_t at);

}  // namespace lora
