#include "lora/terminal/style.h"

#include <algorithm>
#include <string_view>

namespace lora {
namespace {

constexpr const char* sequence_of(Style style) {
  switch (style) {
    case Style::kDim:
      return "\x1b[2m";
    case Style::kBold:
      return "\x1b[1m";
    case Style::kHint:
      return "\x1b[36m";
    case Style::kBest:
      break;
  }
  return "\x1b[1;32m";
}

// Where the component and a place end: behind "[recipe] a.yaml:12:5: ", or else behind "[recipe] ".
size_t end_of_place(std::string_view line) {
  const size_t component = line.starts_with("[") ? line.find("] ") : line.npos;
  if (component == line.npos) return 0;
  const size_t begin = component + 2, colon = line.find(": ", begin);
  if (colon == line.npos) return begin;
  // The two numbers at the end of what is in front of the colon.
  size_t at = colon;
  for (int number = 0; number < 2; ++number) {
    const size_t end = at;
    while (at > begin && line[at - 1] >= '0' && line[at - 1] <= '9') --at;
    if (at == end || at == begin || line[at - 1] != ':') return begin;
    --at;
  }
  return colon + 2;
}

// Where the hint begins, at `from` or later; the line's end where there is none.
size_t begin_of_hint(std::string_view line, size_t from) {
  size_t hint = line.find(" (did you mean ", from);
  if (hint == line.npos) hint = line.rfind("; ");
  if (hint == line.npos || hint < from) return line.size();
  return line[hint] == ';' ? hint + 2 : hint + 1;
}

// The first quoted text, with its quotes, in [begin, end); empty, at `end`, where there is none. An apostrophe has a
// letter in front.
std::string_view first_quoted(std::string_view line, size_t begin, size_t end) {
  const size_t open = line.substr(0, end).find(" '", begin > 0 ? begin - 1 : 0);
  if (open == line.npos) return line.substr(end, 0);
  const size_t close = line.substr(0, end).find('\'', open + 2);
  return close == line.npos ? line.substr(end, 0) : line.substr(open + 1, close - open);
}

std::string styled_line(const std::string& line) {
  const size_t place = end_of_place(line), hint = begin_of_hint(line, place);
  const std::string_view quoted = first_quoted(line, place, hint);
  const auto quote = static_cast<size_t>(quoted.data() - line.data());
  std::string text = place > 0 ? styled(line.substr(0, place - 1), Style::kDim, true) + " " : "";
  text += line.substr(place, quote - place) + styled(std::string(quoted), Style::kBold, true);
  text += line.substr(quote + quoted.size(), hint - quote - quoted.size());
  return text + styled(line.substr(hint), Style::kHint, true);
}

}  // namespace

std::string styled(const std::string& text, Style style, bool colour) {
  return colour && !text.empty() ? sequence_of(style) + text + "\x1b[0m" : text;
}

std::string styled_message(const std::string& message, bool colour) {
  if (!colour) return message;
  std::string text;
  for (size_t begin = 0; begin <= message.size();) {
    const size_t end = std::min(message.find('\n', begin), message.size());
    text += styled_line(message.substr(begin, end - begin)) + (end < message.size() ? "\n" : "");
    begin = end + 1;
  }
  return text;
}

}  // namespace lora
