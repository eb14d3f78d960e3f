#include "lora/terminal/fitted_line.h"

#include <algorithm>

#include "lora/terminal/columns.h"

namespace lora {

int FittedLine::room() const {
  int used = 1;
  for (const auto& [place, part] : parts_) used += static_cast<int>(width_of(part)) + 2;
  return width_ - used;
}

bool FittedLine::put(int place, const std::string& text, size_t columns) {
  const size_t width = width_of(text), blank = columns - std::min(columns, width);
  if (width + blank == 0) return true;
  if (static_cast<int>(width + blank) > room()) return false;
  parts_[place] = text + std::string(blank, ' ');
  return true;
}

void FittedLine::put_bar(int place, double share) {
  const int width = std::min(room(), 24);
  if (width < 6) return;
  const int full = static_cast<int>(static_cast<double>(width) * std::clamp(share, 0.0, 1.0));
  std::string& bar = parts_[place];
  for (int i = 0; i < width; ++i) bar += i < full ? "█" : "░";
}

std::string FittedLine::text() const {
  std::string line;
  for (const auto& [place, part] : parts_) line += (line.empty() ? "" : "  ") + part;
  return line;
}

}  // namespace lora
