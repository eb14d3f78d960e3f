#include "lora/terminal/html.h"

#include "models/base/utf8.h"

namespace lora {

std::string html_excerpt(std::string_view text, size_t characters) {
  std::string out;
  for (size_t at = 0, count = 0; at < text.size(); ++count) {
    if (count == characters) return out + "…";
    const auto [value, length] = code_point_at(text, at);
    const char c = text[at];
    if (value == kInvalid || (value >= 0x80 && value < 0xA0) || value == 0xFFFE || value == 0xFFFF) {
      out += "\uFFFD";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if ((value < 0x20 && c != '\n' && c != '\t') || value == 0x7F) {
      out += "\xe2\x90";
      out += static_cast<char>(value == 0x7F ? 0xA1 : 0x80 + value);
    } else {
      out.append(text, at, length);
    }
    at += length;
  }
  return out;
}

std::string html_escaped(std::string_view text) { return html_excerpt(text, std::string_view::npos); }

}  // namespace lora
