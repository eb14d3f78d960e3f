#include "lora/terminal/facts.h"

#include <algorithm>

#include "lora/terminal/style.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/numbers.h"

namespace lora {

std::string fact(const std::string& given, const std::string& text, const Console& shown) {
  const std::string name = one_line(given, SIZE_MAX);
  constexpr size_t kIndent = 12, kLeast = 20;
  const size_t width =
      shown.width == 0 ? std::string::npos : std::max(as_size(shown.width), kIndent + kLeast) - kIndent;
  std::string lines, in_front = styled(name, Style::kDim, shown.colour);
  in_front += std::string(std::max(kIndent, width_of(name) + 1) - width_of(name), ' ');
  for (const std::string& line : folded(text, width)) {
    lines += in_front + line + "\n";
    in_front = std::string(kIndent, ' ');
  }
  return lines;
}

std::string facts_text(const Facts& facts, const Console& shown) {
  std::string text;
  for (const auto& [name, about] : facts) text += fact(name, about, shown);
  return text;
}

std::string sentence(const std::string& text, const Console& shown) { return indented(text, 0, shown.width); }

std::string command_to_copy(const std::string& before, const std::vector<std::string>& words, const Console& shown) {
  std::string whole;
  for (const std::string& word : words) whole += (whole.empty() ? "" : " ") + word;
  const auto command = [&](const std::string& text) { return styled(text, Style::kHint, shown.colour); };
  const std::string title = styled(before, Style::kBold, shown.colour);
  const size_t width = as_size(shown.width);
  if (width == 0 || width_of(before) + 1 + width_of(whole) <= width) return title + " " + command(whole) + "\n";
  std::string text = title + "\n", line;
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t behind = i + 1 < words.size() ? 2 : 0;  // the backslash
    if (!line.empty() && width_of(line) + 1 + width_of(words[i]) + behind > width) {
      text += command(line + " \\") + "\n";
      line.clear();
    }
    line += (line.empty() ? "  " : " ") + words[i];
  }
  return text + command(line) + "\n";
}

}  // namespace lora
