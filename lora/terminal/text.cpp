#include "lora/terminal/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace lora {
namespace {

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

// The text in pieces of at most `width` columns, cut at a space where there is one in the last two thirds.
std::vector<std::string> folded(const std::string& text, size_t width) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size() || lines.empty();) {
    size_t end = begin, used = 0, space = 0;
    for (; end < text.size() && (used < width || !begins_character(text[end])); ++end) {
      used += begins_character(text[end]);
      if (text[end] == ' ' && used > width / 3) space = end;
    }
    if (end < text.size() && text[end] != ' ' && space > begin) end = space;
    lines.push_back(text.substr(begin, end - begin));
    begin = end;
    while (begin < text.size() && text[begin] == ' ') ++begin;
  }
  return lines;
}

template <typename... Args>
std::string format(const char* pattern, Args... args) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, pattern, args...);
  return buffer;
}

}  // namespace

std::string with_commas(int64_t value) {
  std::string digits = std::to_string(value);
  for (auto i = static_cast<int64_t>(digits.size()) - 3; i > (value < 0 ? 1 : 0); i -= 3) {
    digits.insert(static_cast<size_t>(i), ",");
  }
  return digits;
}

std::string as_bytes(int64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return format(value < 9.95 && unit > 0 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

std::string as_duration(double seconds) {
  const auto s = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  if (s >= 3600) return format("%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  return format("%lld:%02lld", s / 60, s % 60);
}

std::string as_scientific(double value) { return format("%.2e", value); }

std::string fixed(double value, int digits) { return format("%.*f", digits, value); }

std::string kind_of(const std::string& path) {
  std::string kind;
  for (size_t begin = 0; begin < path.size();) {
    const size_t dot = std::min(path.find('.', begin), path.size());
    const std::string part = path.substr(begin, dot - begin);
    const bool index = std::all_of(part.begin(), part.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    kind += (kind.empty() ? "" : ".") + (index ? "*" : part);
    begin = dot + 1;
  }
  return kind;
}

std::string percent(double share, int digits) { return fixed(100 * share, digits) + " %"; }

std::string one_line(const std::string& text, size_t width) {
  std::string line;
  size_t used = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (begins_character(text[i]) && ++used > width) return line + "…";
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\n') {
      line += "↵";
    } else {
      line += c < 0x20 || c == 0x7F ? ' ' : text[i];
    }
  }
  return line;
}

size_t width_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string sparkline(const std::vector<double>& values, size_t width) {
  static constexpr std::array<const char*, 8> kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const size_t bars = std::min(width, values.size());
  std::vector<double> means;
  for (size_t i = 0; i < bars; ++i) {
    double sum = 0;
    size_t count = 0;
    for (size_t j = i * values.size() / bars; j < (i + 1) * values.size() / bars; ++j) {
      if (!std::isfinite(values[j])) continue;
      sum += values[j];
      ++count;
    }
    means.push_back(count ? sum / static_cast<double>(count) : std::nan(""));
  }
  double low = INFINITY, high = -INFINITY;
  for (const double mean : means) {
    if (std::isnan(mean)) continue;
    low = std::min(low, mean);
    high = std::max(high, mean);
  }
  std::string line;
  for (const double mean : means) {
    if (std::isnan(mean)) {
      line += "!";
      continue;
    }
    const double share = high > low ? (mean - low) / (high - low) : 0;
    line += kBars[std::min<size_t>(7, static_cast<size_t>(share * 8))];
  }
  return line;
}

std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right, int width) {
  std::vector<size_t> widths(right.size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  // A column of text gives way, the widest first, as far as it stays legible.
  constexpr size_t kLegible = 12;
  const auto whole = [&] { return std::accumulate(widths.begin(), widths.end(), 2 * widths.size()); };
  while (width > 0 && whole() > static_cast<size_t>(width)) {
    size_t widest = widths.size();
    for (size_t i = 0; i < widths.size(); ++i) {
      if (!right[i] && widths[i] > kLegible && (widest == widths.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == widths.size()) break;
    --widths[widest];
  }
  std::string text;
  for (const auto& row : rows) {
    std::vector<std::vector<std::string>> cells;
    size_t height = 1;
    for (size_t i = 0; i < row.size(); ++i) {
      cells.push_back(folded(row[i], widths[i]));
      height = std::max(height, cells.back().size());
    }
    for (size_t part = 0; part < height; ++part) {
      std::string line;
      for (size_t i = 0; i < row.size(); ++i) {
        const std::string cell = part < cells[i].size() ? cells[i][part] : "";
        const std::string padding(widths[i] - std::min(widths[i], width_of(cell)), ' ');
        line += "  " + (right[i] ? padding + cell : cell + padding);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
  }
  return text;
}

}  // namespace lora
