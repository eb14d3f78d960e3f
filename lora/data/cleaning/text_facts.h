#pragma once
// Counts of characters in a text.

#include <cstdint>
#include <string_view>

namespace lora {

struct TextFacts {
  int64_t characters = 0;
  int64_t invalid = 0;   // bytes of invalid UTF-8, and characters U+FFFD
  int64_t controls = 0;  // except tabs and line ends
  int64_t visible = 0;   // characters that are not white space
  int64_t letters = 0;   // letters and digits
  TextFacts& operator+=(const TextFacts& other);
};

TextFacts text_facts(std::string_view text);

}  // namespace lora
