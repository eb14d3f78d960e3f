#pragma once
// Texts made comparable: what differs only in how it was typed becomes the same bytes.

#include <string>
#include <string_view>

namespace lora {

// Letters and digits of any script, ideographs and emoji among them; not punctuation, symbols of the Unicode blocks for
// these, white space or control characters.
bool is_letter_or_digit(char32_t value);

// Whether Unicode has it for a space or line end (category Z, and the control characters that are white space).
bool is_space(char32_t value);

// For equality. Runs of white space (Unicode's) are one space, none at the ends; letters are lower case (Latin, Greek,
// Cyrillic); characters without width and soft hyphens are gone; curly quotes, dashes, the ellipsis and full-width
// forms are their ASCII ones. Accents composed and decomposed stay different, and so do compatibility forms beyond
// these. Bytes that are no UTF-8 stay as they are.
std::string normalised(std::string_view text);

// For likeness: as above, and everything that is no letter or digit counts as white space.
std::string normalised_words(std::string_view text);

}  // namespace lora
