#include "lora/recipe/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <string_view>

namespace lora {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// How many digits stand at `begin`.
size_t digits(std::string_view text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - begin;
}

size_t sign(std::string_view text, size_t begin) {
  return begin < text.size() && (text[begin] == '-' || text[begin] == '+') ? 1 : 0;
}

// Words that some version of YAML takes for a null or a boolean.
bool is_yaml_word(const std::string& text) {
  std::string lower = text;
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  static constexpr std::array<std::string_view, 9> words = {"null", "true", "false", "yes", "no",
                                                            "on",   "off",  "y",     "n"};
  return std::ranges::find(words, lower) != words.end();
}

bool is_safe_plain(const std::string& text) {
  const bool path_like = text.starts_with("./") || text.starts_with("../") || text.starts_with("/");
  return !text.empty() && (is_letter(text[0]) || path_like) && !is_yaml_word(text) &&
         std::ranges::all_of(text,
                             [](char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '/' || c == '-'; });
}

}  // namespace

bool is_integer(const std::string& plain) {
  const size_t begin = sign(plain, 0);
  return begin < plain.size() && begin + digits(plain, begin) == plain.size();
}

bool is_number(const std::string& plain) {
  size_t at = sign(plain, 0);
  const std::string unsigned_part = plain.substr(at);
  for (const char* word : {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"}) {
    if (unsigned_part == word) return true;
  }
  size_t mantissa = digits(plain, at);
  at += mantissa;
  if (at < plain.size() && plain[at] == '.') {
    const size_t fraction = digits(plain, at + 1);
    mantissa += fraction;
    at += 1 + fraction;
  }
  if (mantissa == 0) return false;
  if (at < plain.size() && (plain[at] == 'e' || plain[at] == 'E')) {
    ++at;
    at += sign(plain, at);
    const size_t exponent = digits(plain, at);
    if (exponent == 0) return false;
    at += exponent;
  }
  return at == plain.size();
}

bool is_bool(const std::string& plain) {
  static constexpr std::array<std::string_view, 6> words = {"true", "True", "TRUE", "false", "False", "FALSE"};
  return std::ranges::find(words, plain) != words.end();
}

std::string print_text(const std::string& text) {
  if (is_safe_plain(text)) return text;
  const bool controls = std::ranges::any_of(text, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; });
  if (!controls) {
    std::string quoted = "'";
    for (const char c : text) quoted += c == '\'' ? "''" : std::string(1, c);
    return quoted + "'";
  }
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if ((c >= 0 && c < 0x20) || c == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02X", static_cast<unsigned>(c));
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string print_number(double number) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
  std::string text(buffer.data(), end);
  if (text.find('.') == std::string::npos) text.insert(std::min(text.find('e'), text.size()), ".0");
  return text;
}

}  // namespace lora
