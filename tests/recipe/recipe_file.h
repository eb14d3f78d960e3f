#pragma once
// Recipes for tests: written to a file of their own and loaded.

#include <functional>
#include <string>
#include <vector>

#include "lora/recipe/recipe.h"
#include "models/base/error.h"
#include "tests/temporary_directory.h"

namespace lora::test {

// The least that is a whole recipe; line and column of what follows are counted by several tests.
inline const std::string kMinimal =
    "model:\n"                                         // 1
    "  path: models/tiny\n"                            // 2
    "adapter:\n"                                       // 3
    "  target_modules: [q_proj, v_proj]\n"             // 4
    "data:\n"                                          // 5
    "  train:\n"                                       // 6
    "    - {path: train.jsonl, format: completion}\n"  // 7
    "training:\n"                                      // 8
    "  max_steps: 200\n"                               // 9
    "output_dir: runs/example\n";                      // 10

using Overrides = std::vector<std::string>;

inline Recipe load_text(const std::string& yaml, const Overrides& overrides = {}) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.yaml", yaml);
  return load_recipe(directory / "a.yaml", overrides);
}

// The message of the RecipeError that `load` throws for a file "a.yaml" of this text; "loaded" where it throws none.
inline std::string error_of(const std::string& yaml, const std::function<void(const std::string& path)>& load) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.yaml", yaml);
  try {
    load((directory / "a.yaml").string());
  } catch (const RecipeError& error) {
    std::string message = error.what();
    const std::string folder = directory.path().string() + "/";
    for (size_t at; (at = message.find(folder)) != std::string::npos;) message.erase(at, folder.size());
    return message;
  }
  return "loaded";
}

inline std::string error_of(const std::string& yaml, const Overrides& overrides = {}) {
  return error_of(yaml, [&](const std::string& path) { load_recipe(path, overrides); });
}

// `text` with `line` (counted from 1) replaced.
inline std::string with_line(const std::string& text, int line, const std::string& replacement) {
  size_t begin = 0;
  for (int i = 1; i < line; ++i) begin = text.find('\n', begin) + 1;
  return text.substr(0, begin) + replacement + text.substr(text.find('\n', begin));
}

// kMinimal with `line` (counted from 1) replaced.
inline std::string with_line(int line, const std::string& text) { return with_line(kMinimal, line, text); }

}  // namespace lora::test
