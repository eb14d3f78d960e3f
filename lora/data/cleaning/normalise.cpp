#include "lora/data/cleaning/normalise.h"

#include <algorithm>
#include <array>

#include "models/base/utf8.h"

namespace lora {
namespace {

bool within(char32_t value, char32_t first, char32_t last) { return value >= first && value <= last; }

bool has_no_width(char32_t value) {
  return value == 0xAD || within(value, 0x200B, 0x200D) || value == 0x2060 || value == 0xFEFF;
}

char32_t lower_case(char32_t value) {
  if (value < 0x80) return within(value, 'A', 'Z') ? value + 0x20 : value;
  if (value < 0x100) return within(value, 0xC0, 0xDE) && value != 0xD7 ? value + 0x20 : value;
  if (value < 0x180) {
    // Pairs of upper and lower case: the upper case is even, except in two ranges.
    const bool odd = within(value, 0x139, 0x148) || within(value, 0x179, 0x17E);
    if (within(value, 0x130, 0x131) || value == 0x138 || value == 0x149 || value == 0x17F) return value;
    if (value == 0x178) return 0xFF;
    return (value % 2 == 1) == odd ? value + 1 : value;
  }
  if (within(value, 0x391, 0x3A9)) return value + 0x20;
  if (value == 0x3C2) return 0x3C3;  // a sigma at the end of a word
  if (within(value, 0x410, 0x42F)) return value + 0x20;
  if (within(value, 0x400, 0x40F)) return value + 0x50;
  return value;
}

// The ASCII form of typographic punctuation; 0: no change.
char32_t plain_punctuation(char32_t value) {
  if (within(value, 0x2018, 0x201B) || value == 0x2032) return '\'';
  if (within(value, 0x201C, 0x201F) || value == 0x2033 || value == 0xAB || value == 0xBB) return '"';
  if (within(value, 0x2010, 0x2015) || value == 0x2212) return '-';
  if (within(value, 0xFF01, 0xFF5E)) return value - 0xFF01 + '!';
  return 0;
}

// Writes a character as UTF-8. Returns the end.
char* append(char* text, char32_t value) {
  const auto byte = [&](char32_t bits) { *text++ = static_cast<char>(bits); };
  if (value < 0x80) {
    byte(value);
  } else if (value < 0x800) {
    byte(0xC0 | value >> 6);
    byte(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    byte(0xE0 | value >> 12);
    byte(0x80 | (value >> 6 & 0x3F));
    byte(0x80 | (value & 0x3F));
  } else {
    byte(0xF0 | value >> 18);
    byte(0x80 | (value >> 12 & 0x3F));
    byte(0x80 | (value >> 6 & 0x3F));
    byte(0x80 | (value & 0x3F));
  }
  return text;
}

// The normal form of an ASCII character; ' ' if it counts as white space.
using AsciiTable = std::array<char, 128>;

AsciiTable ascii_table(bool words) {
  AsciiTable table;
  for (char32_t value = 0; value < 0x80; ++value) {
    const bool space = is_space(value) || (words && !is_letter_or_digit(value));
    table[value] = space ? ' ' : static_cast<char>(lower_case(value));
  }
  return table;
}

std::string normalise(std::string_view text, bool words) {
  static const AsciiTable kText = ascii_table(false), kWords = ascii_table(true);
  const AsciiTable& ascii = words ? kWords : kText;
  std::string out(text.size(), '\0');  // no character gets longer
  char* end = out.data();
  bool space = false;
  const auto separate = [&] {
    *end = ' ';
    end += space && end != out.data();
    space = false;
  };
  const auto add = [&](char32_t value) {
    if (is_space(value) || (words && !is_letter_or_digit(value))) {
      space = true;
      return;
    }
    separate();
    end = append(end, value);
  };
  for (size_t at = 0; at < text.size();) {
    if (const auto byte = static_cast<unsigned char>(text[at]); byte < 0x80) {
      ++at;
      const char plain = ascii[byte];
      if (plain == ' ') {
        space = true;
      } else {
        separate();
        *end++ = plain;
      }
      continue;
    }
    auto [value, length] = code_point_at(text, at);
    if (value == kInvalid) {
      separate();
      *end++ = text[at];
    } else if (value == 0x2026) {
      for (int i = 0; i < 3; ++i) add('.');
    } else if (!has_no_width(value)) {
      if (const char32_t plain = plain_punctuation(value)) value = plain;
      add(lower_case(value));
    }
    at += length;
  }
  out.resize(static_cast<size_t>(end - out.data()));
  return out;
}

}  // namespace

bool is_space(char32_t value) {
  return value == ' ' || within(value, 0x09, 0x0D) || value == 0x85 || value == 0xA0 || value == 0x1680 ||
         within(value, 0x2000, 0x200A) || within(value, 0x2028, 0x2029) || value == 0x202F || value == 0x205F ||
         value == 0x3000;
}

bool is_letter_or_digit(char32_t value) {
  if (value < 0x80) return within(value, '0', '9') || within(value, 'a', 'z') || within(value, 'A', 'Z');
  if (value < 0xC0) return value == 0xAA || value == 0xB5 || value == 0xBA;
  if (value == 0xD7 || value == 0xF7 || value == kInvalid || value == 0xFFFD) return false;
  // General punctuation to miscellaneous technical, box drawing to arrows; CJK punctuation; private use; specials.
  return !within(value, 0x2000, 0x206F) && !within(value, 0x20A0, 0x20CF) && !within(value, 0x2190, 0x25FF) &&
         !within(value, 0x27C0, 0x2BFF) && !within(value, 0x3000, 0x3004) && !within(value, 0x3008, 0x3020) &&
         !within(value, 0xE000, 0xF8FF) && !within(value, 0xFF01, 0xFF0F) && !within(value, 0xFF1A, 0xFF20) &&
         !within(value, 0xFF3B, 0xFF40) && !within(value, 0xFF5B, 0xFF65) && !within(value, 0xFFF0, 0xFFFF);
}

std::string normalised(std::string_view text) { return normalise(text, /*words=*/false); }

std::string normalised_words(std::string_view text) { return normalise(text, /*words=*/true); }

}  // namespace lora
