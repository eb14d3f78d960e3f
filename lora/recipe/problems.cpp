#include "lora/recipe/problems.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace lora {
namespace {

// Between two errors in the text of one.
constexpr std::string_view kNextError = "\n[recipe] ";
constexpr size_t kMostErrors = 50;

// Line and column of "FILE:LINE:COLUMN: …". Of an override, behind all lines.
std::pair<int64_t, int64_t> place_in_file(const std::string& message) {
  if (message.starts_with("override '")) return {INT64_MAX, 0};
  const auto is_digit = [&](size_t i) { return i < message.size() && message[i] >= '0' && message[i] <= '9'; };
  const auto after_number = [&](size_t i) {
    while (is_digit(i)) ++i;
    return i;
  };
  for (size_t colon = message.find(':'); colon != std::string::npos; colon = message.find(':', colon + 1)) {
    const size_t second = after_number(colon + 1);
    if (second == colon + 1 || second >= message.size() || message[second] != ':') continue;
    const size_t end = after_number(second + 1);
    if (end == second + 1 || !std::string_view(message).substr(end).starts_with(": ")) continue;
    return {std::atoll(message.c_str() + colon + 1), std::atoll(message.c_str() + second + 1)};
  }
  return {INT64_MAX, 1};
}

}  // namespace

void Problems::add(const RecipeError& error) {
  std::string_view text = error.what();
  text.remove_prefix(kNextError.size() - 1);
  while (true) {
    const size_t end = std::min(text.find(kNextError), text.size());
    const std::string message(text.substr(0, end));
    if (noted_.insert(message).second) messages_.push_back(message);
    if (end == text.size()) return;
    text.remove_prefix(end + kNextError.size());
  }
}

void Problems::add(const Problems& others) {
  for (const std::string& message : others.messages_) {
    if (noted_.insert(message).second) messages_.push_back(message);
  }
}

bool Problems::is_spoiled(const std::string& path) const {
  const auto is_inside = [](const std::string& inner, const std::string& outer) {
    return inner == outer || inner.starts_with(outer + ".");
  };
  return std::ranges::any_of(spoiled_,
                             [&](const std::string& bad) { return is_inside(bad, path) || is_inside(path, bad); });
}

void Problems::throw_any() const {
  if (messages_.empty()) return;
  std::vector<std::string> sorted = messages_;
  std::ranges::stable_sort(sorted, {}, place_in_file);
  std::string text;
  for (size_t i = 0; i < std::min(sorted.size(), kMostErrors); ++i) {
    text += (i == 0 ? "" : std::string(kNextError)) + sorted[i];
  }
  if (sorted.size() > kMostErrors) {
    text += std::string(kNextError) + "and " + std::to_string(sorted.size() - kMostErrors) + " more";
  }
  throw RecipeError(text);
}

}  // namespace lora
