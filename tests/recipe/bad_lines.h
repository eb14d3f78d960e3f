#pragma once
// Recipes with one line that is wrong, and what is said of it.

#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {

struct BadLine {
  int line;
  std::string text;
  std::string message;
  // The same, reported at another line.
  BadLine at(int other) const { return {line, text, std::to_string(other) + message.substr(message.find(':'))}; }
};

inline void check_all(const std::vector<BadLine>& table) {
  for (const auto& [line, text, message] : table) {
    INFO(text);
    CHECK(error_of(with_line(line, text)) == "[recipe] a.yaml:" + message);
  }
}

// Line 4 is the adapter's last, 9 the training's.
inline BadLine adapter(const std::string& text, const std::string& message) {
  return {4, "  target_modules: [q_proj]\n  " + text, "5:" + message};
}
inline BadLine training(const std::string& text, const std::string& message) {
  return {9, "  max_steps: 200\n  " + text, "10:" + message};
}

}  // namespace lora::test
