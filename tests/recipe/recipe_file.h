#pragma once
// Recipes for tests: written to a file of their own and loaded.

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

// The message of the RecipeError that loading throws, with the file called "a.yaml"; "loaded" where it throws none.
inline std::string error_of(const std::string& yaml, const Overrides& overrides = {}) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.yaml", yaml);
  try {
    load_recipe(directory / "a.yaml", overrides);
  } catch (const RecipeError& error) {
    std::string message = error.what();
    const std::string folder = directory.path().string() + "/";
    for (size_t at; (at = message.find(folder)) != std::string::npos;) message.erase(at, folder.size());
    return message;
  }
  return "loaded";
}

// kMinimal with `line` (counted from 1) replaced.
inline std::string with_line(int line, const std::string& text) {
  size_t begin = 0;
  for (int i = 1; i < line; ++i) begin = kMinimal.find('\n', begin) + 1;
  return kMinimal.substr(0, begin) + text + kMinimal.substr(kMinimal.find('\n', begin));
}

}  // namespace lora::test
