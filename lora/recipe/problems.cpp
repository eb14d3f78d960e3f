#include "lora/recipe/problems.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace lora {
namespace {

// Before each error in the text of several.
constexpr std::string_view kRecipe = "[recipe] ";
constexpr size_t kMostErrors = 50;

// Line and column of "[recipe] FILE:LINE:COLUMN: …". Of an override, behind all lines.
std::pair<int64_t, int64_t> place_in_file(const std::string& message) {
  if (message.find("] override '") == message.find("] ")) return {INT64_MAX, 0};
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

void Problems::add(ExitCode code, const std::string& text) {
  if (noted_.insert(text).second) messages_.push_back({code, text});
}

void Problems::add(const Error& error) {
  const std::string text = error.what(), next = "\n" + std::string(kRecipe);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(next, begin), text.size());
    add(error.code(), text.substr(begin, end - begin));
    begin = end + 1;
  }
}

void Problems::add(const Problems& others) {
  for (const auto& [code, text] : others.messages_) add(code, text);
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
  std::vector<Message> sorted = messages_;
  std::ranges::stable_sort(sorted, {}, [](const Message& message) { return place_in_file(message.text); });
  std::string text;
  for (size_t i = 0; i < std::min(sorted.size(), kMostErrors); ++i) text += (i == 0 ? "" : "\n") + sorted[i].text;
  if (sorted.size() > kMostErrors) {
    text += "\n" + std::string(kRecipe) + "and " + std::to_string(sorted.size() - kMostErrors) + " more";
  }
  // An error's text begins with its component.
  const size_t end = text.find("] ");
  const std::string component = text.substr(1, end - 1), rest = text.substr(end + 2);
  const bool of_recipe = std::ranges::count(sorted, ExitCode::kRecipe, &Message::code) > 0;
  if (of_recipe && component == "recipe") throw RecipeError(rest);
  throw Error(of_recipe ? ExitCode::kRecipe : sorted.front().code, component, rest);
}

}  // namespace lora
