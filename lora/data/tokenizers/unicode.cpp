#include "lora/data/tokenizers/unicode.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "lora/data/tokenizers/newer_characters.h"
#include "models/base/utf8.h"

namespace lora {

Character character_at(std::string_view text, size_t at) {
  const size_t length = utf8_length(text, at);
  if (length == 0) return {kReplacement, 1};
  const auto first = static_cast<unsigned char>(text[at]);
  if (length == 1) return {first, 1};
  char32_t code = first & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3Fu);
  return {code, length};
}

size_t character_before(std::string_view text, size_t end) {
  for (size_t length = 1; length <= 4 && length <= end; ++length) {
    if (utf8_length(text, end - length) == length) return end - length;
  }
  return end - 1;
}

void append_character(std::string& text, char32_t code) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

bool is_white_space(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_word_character(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  if ((category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ND) || category == UTF8PROC_CATEGORY_NL ||
      category == UTF8PROC_CATEGORY_PC) {
    return true;
  }
  if (category == UTF8PROC_CATEGORY_CN) {
    const std::string_view newer = newer_category(code);
    return newer.starts_with('L') || newer.starts_with('M') || newer == "Nd" || newer == "Nl" || newer == "Pc";
  }
  // Joiners, and symbols that count as alphabetic: circled and squared letters.
  return code == 0x200C || code == 0x200D || (code >= 0x24B6 && code <= 0x24E9) ||
         (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
         (code >= 0x1F170 && code <= 0x1F189);
}

bool is_number(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  if (category != UTF8PROC_CATEGORY_CN) return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
  // Here `tokenizers` has two ranges of Unicode 17.
  return newer_category(code).starts_with('N') || (code >= 0x11DE0 && code <= 0x11DE9) ||
         (code >= 0x16FF4 && code <= 0x16FF6);
}

bool is_punctuation(char32_t code) {
  if (code < 0x80)
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') ||
           (code >= '{' && code <= '~');
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool is_mark(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

bool is_nonspacing_mark(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code)) == UTF8PROC_CATEGORY_MN;
}

bool is_control(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  const bool later = code == 0x890 || code == 0x891 || code == 0x8E2 || code == 0x110CD ||
                     (code >= 0x13430 && code <= 0x1343F);  // after Unicode 8, whose tables `tokenizers` has here
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CO ||
         (category == UTF8PROC_CATEGORY_CF && !later);
}

std::string to_lowercase(char32_t code) {
  std::string lower;
  if (code == 0x130) return "i\u0307";  // the only character whose lower case has two characters
  const auto mapped = static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
  if (mapped != code) {
    append_character(lower, mapped);
    return lower;
  }
  // Capitals that utf8proc 2.8 does not know; `tokenizers` takes those of Unicode 17 too.
  struct Capitals {
    char32_t first, last, lower;
  };
  static constexpr Capitals kNewer[] = {
      {0x1C89, 0x1C89, 0x1C8A},    {0xA7CB, 0xA7CB, 0x264},    {0xA7CC, 0xA7CC, 0xA7CD}, {0xA7CE, 0xA7CE, 0xA7CF},
      {0xA7D2, 0xA7D2, 0xA7D3},    {0xA7D4, 0xA7D4, 0xA7D5},   {0xA7DA, 0xA7DA, 0xA7DB}, {0xA7DC, 0xA7DC, 0x19B},
      {0x10D50, 0x10D65, 0x10D70}, {0x16EA0, 0x16EB8, 0x16EBB}};
  for (const Capitals& capitals : kNewer) {
    if (code < capitals.first || code > capitals.last) continue;
    append_character(lower, capitals.lower + (code - capitals.first));
    break;
  }
  return lower;
}

std::string normalized(std::string_view text, NormalForm form) {
  int options = UTF8PROC_STABLE;
  options |= form == NormalForm::kNfc || form == NormalForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::kNfkc || form == NormalForm::kNfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* mapped = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &mapped, static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, std::free);
  if (length < 0) return std::string(text);  // valid UTF-8 fails only if memory runs out
  return {reinterpret_cast<const char*>(mapped), static_cast<size_t>(length)};
}

namespace {

// True if a character can combine with those before it: marks, and Korean vowels and final consonants. Some characters
// become one of these only in the compatibility forms.
bool joins_before(char32_t code) {
  if (code < 0x300) return false;
  return is_mark(code) || (code >= 0x1160 && code <= 0x11FF) || (code >= 0x3131 && code <= 0x318E) ||
         (code >= 0xFF9E && code <= 0xFFDC);
}

// True if a character on its own may change under `form`. May be true for one that does not change.
bool may_change(char32_t code, NormalForm form) {
  const bool composes = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  if (code >= 0xAC00 && code <= 0xD7A3) return !composes;  // Korean syllables, which are not in the tables
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(code))->decomp_seqindex != UINT16_MAX;
}

}  // namespace

size_t stretch_end(std::string_view text, size_t at) {
  at += character_at(text, at).length;
  while (at < text.size()) {
    const Character character = character_at(text, at);
    if (!joins_before(character.code)) break;
    at += character.length;
  }
  return at;
}

size_t first_not_normal(std::string_view text, size_t at, NormalForm form) {
  // Nothing below these changes in the form.
  const char32_t safe = form == NormalForm::kNfc ? 0x300 : form == NormalForm::kNfd ? 0xC0 : 0xA0;
  size_t stretch = at;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      stretch = at++;
      continue;
    }
    const Character character = character_at(text, at);
    if (character.code >= safe) {
      if (joins_before(character.code)) return stretch;
      if (may_change(character.code, form)) return at;
    }
    stretch = at;
    at += character.length;
  }
  return at;
}

size_t cluster_end(std::string_view text, size_t at) {
  Character last = character_at(text, at);
  utf8proc_int32_t state = 0;
  for (at += last.length; at < text.size(); at += last.length) {
    const Character next = character_at(text, at);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last.code),
                                         static_cast<utf8proc_int32_t>(next.code), &state)) {
      break;
    }
    last = next;
  }
  return at;
}

}  // namespace lora
