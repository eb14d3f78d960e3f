#include "lora/data/cleaning/text_facts.h"

#include "lora/data/cleaning/normalise.h"

namespace lora {

TextFacts& TextFacts::operator+=(const TextFacts& other) {
  characters += other.characters;
  invalid += other.invalid;
  controls += other.controls;
  visible += other.visible;
  letters += other.letters;
  return *this;
}

TextFacts text_facts(std::string_view text) {
  TextFacts facts;
  for (size_t at = 0; at < text.size(); ++facts.characters) {
    const auto [value, length] = code_point_at(text, at);
    at += length;
    const bool control = (value < 0x20 && value != '\t' && value != '\n' && value != '\r') ||
                         (value >= 0x7F && value < 0xA0 && value != 0x85);
    facts.invalid += value == kInvalid || value == 0xFFFD;
    facts.controls += control;
    if (is_space(value)) continue;
    ++facts.visible;
    facts.letters += is_letter_or_digit(value);
  }
  return facts;
}

}  // namespace lora
