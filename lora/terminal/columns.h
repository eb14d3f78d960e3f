#pragma once
// How wide text is at a terminal.

#include <cstddef>
#include <string_view>

namespace lora {

// The columns of a character: 2 of those that East Asian text and emoji have wide (Unicode's UAX 11), 0 of marks that
// stand on the character before, else 1. Emoji that some terminals have narrow count as wide.
size_t columns_of(char32_t character);

// The columns of the text. A byte that is not part of a character counts 1.
size_t width_of(std::string_view text);

}  // namespace lora
