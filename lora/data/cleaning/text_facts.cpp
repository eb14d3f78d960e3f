#include "lora/data/cleaning/text_facts.h"

#include <array>

#include "lora/data/cleaning/normalise.h"

namespace lora {
namespace {

struct CharacterFacts {
  bool control, visible, letter;
};

CharacterFacts facts_of(char32_t value) {
  const bool control = (value < 0x20 && value != '\t' && value != '\n' && value != '\r') ||
                       (value >= 0x7F && value < 0xA0 && value != 0x85);
  const bool visible = !is_space(value);
  return {control, visible, visible && is_letter_or_digit(value)};
}

}  // namespace

TextFacts& TextFacts::operator+=(const TextFacts& other) {
  characters += other.characters;
  invalid += other.invalid;
  controls += other.controls;
  visible += other.visible;
  letters += other.letters;
  return *this;
}

TextFacts text_facts(std::string_view text) {
  static const auto kAscii = [] {
    std::array<CharacterFacts, 128> table;
    for (char32_t value = 0; value < 0x80; ++value) table[value] = facts_of(value);
    return table;
  }();
  TextFacts facts;
  for (size_t at = 0; at < text.size(); ++facts.characters) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const auto [value, length] = byte < 0x80 ? CodePoint{byte, 1} : code_point_at(text, at);
    const CharacterFacts one = byte < 0x80 ? kAscii[byte] : facts_of(value);
    at += length;
    facts.invalid += value == kInvalid || value == 0xFFFD;
    facts.controls += one.control;
    facts.visible += one.visible;
    facts.letters += one.letter;
  }
  return facts;
}

}  // namespace lora
