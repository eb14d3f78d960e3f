#pragma once
// Normalises texts for comparison: differences in typing disappear.

#include <string>
#include <string_view>

namespace lora {

// True for letters and digits of any script, including ideographs and emoji. False for punctuation, symbols in the
// Unicode blocks for them, white space and control characters.
bool is_letter_or_digit(char32_t value);

// True for spaces and line ends in Unicode: category Z and the control characters that are white space.
bool is_space(char32_t value);

// For tests of equality. Runs of Unicode white space become one space, with none at the ends. Letters become lower case
// (Latin, Greek, Cyrillic). Zero-width characters and soft hyphens are removed. Curly quotes, dashes, the ellipsis and
// full-width forms become ASCII. Composed and decomposed accents stay different, as do all other compatibility forms.
// Invalid UTF-8 stays as it is.
std::string normalised(std::string_view text);

// For tests of similarity. The same, but every character that is not a letter or digit counts as white space.
std::string normalised_words(std::string_view text);

}  // namespace lora
