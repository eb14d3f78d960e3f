#include "lora/terminal/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "models/base/utf8.h"

namespace lora {
namespace {

template <typename... Args>
std::string format(const char* pattern, Args... args) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, pattern, args...);
  return buffer;
}

// Whether a terminal does something else with it than to show it.
bool acts(char32_t character) { return character < 0x20 || (character >= 0x7F && character < 0xA0); }

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

std::string as_remaining(double seconds) {
  constexpr double kDay = 86'400, kFarAway = 1e9;
  if (seconds < kDay || seconds > kFarAway) return as_duration(seconds);
  const std::time_t then = std::time(nullptr) + static_cast<std::time_t>(seconds);
  std::tm local{};
  ::localtime_r(&then, &local);
  char when[64];
  const char* pattern = seconds < 6 * kDay ? "%a %H:%M" : "%Y-%m-%d";
  return as_duration(seconds) + " (" + std::string(when, std::strftime(when, sizeof when, pattern, &local)) + ")";
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

std::string harmless(const std::string& text) {
  std::string shown;
  for (size_t at = 0; at < text.size();) {
    const CodePoint character = code_point_at(text, at);
    shown += character.value == '\n'       ? "\n"
             : acts(character.value)       ? " "
             : character.value == kInvalid ? "\uFFFD"
                                           : text.substr(at, character.length);
    at += character.length;
  }
  return shown;
}

std::string without_middle(const std::string& text, size_t most) {
  if (text.size() <= most) return text;
  const auto is_inside = [&](size_t at) { return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; };
  size_t end = most / 4 * 3, begin = text.size() - most / 4;
  while (end > 0 && is_inside(end)) --end;
  while (begin < text.size() && is_inside(begin)) ++begin;
  return text.substr(0, end) + " … (" + std::to_string(begin - end) + " bytes) … " + text.substr(begin);
}

std::string one_line(const std::string& text, size_t width) {
  std::string line;
  size_t used = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint character = code_point_at(text, at);
    used += acts(character.value) ? 1 : columns_of(character.value);
    if (used > width) return line + "…";
    line += character.value == '\n' ? "↵" : acts(character.value) ? " " : text.substr(at, character.length);
    at += character.length;
  }
  return line;
}

std::vector<std::string> folded(const std::string& given, size_t width) {
  const std::string text = harmless(given);
  static constexpr std::string_view kJoints = "._-:,;";
  const auto is_digit = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size() || lines.empty();) {
    size_t end = begin, used = 0, space = begin, slash = begin, joint = begin;
    while (end < text.size() && text[end] != '\n') {
      const CodePoint character = code_point_at(text, end);
      const size_t columns = columns_of(character.value);
      if (end > begin && used + columns > width) break;
      used += columns;
      if (used > width / 3 && text[end] == ' ') space = end;
      end += character.length;
      if (used <= width / 3) continue;
      if (text[end - 1] == '/') slash = end;
      if (kJoints.find(text[end - 1]) != kJoints.npos && !is_digit(end)) joint = end;
    }
    const bool is_cut = end < text.size() && text[end] != '\n';
    if (is_cut && text[end] != ' ') {
      end = space > begin ? space : slash > begin ? slash : joint > begin ? joint : end;
    }
    lines.push_back(text.substr(begin, end - begin));
    begin = end;
    while (is_cut && begin < text.size() && text[begin] == ' ') ++begin;
    if (begin < text.size() && text[begin] == '\n') ++begin;
  }
  return lines;
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

}  // namespace lora
