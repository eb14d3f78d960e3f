#pragma once
// What can be counted in a text.

#include <cstdint>
#include <string_view>

namespace lora {

struct TextFacts {
  int64_t characters = 0;
  int64_t invalid =
      0;  // bytes that are no UTF-8, and replacement characters, which another program left in their place
  int64_t controls = 0;  // but for tabs and line ends
  int64_t visible = 0;   // characters that are no white space
  int64_t letters = 0;   // letters and digits among them
  TextFacts& operator+=(const TextFacts& other);
};

TextFacts text_facts(std::string_view text);

}  // namespace lora
