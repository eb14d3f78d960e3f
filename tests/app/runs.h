#pragma once
// What tests of runs share: a short run over the quickstart's data, what a run leaves behind, and how one is refused.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lora/checkpoints/store.h"
#include "tests/app/command.h"
#include "tests/catch.h"
#include "tests/golden.h"
#include "tests/temporary_directory.h"

namespace lora::test {

inline std::filesystem::path quickstart() { return source_dir() / "recipes/quickstart"; }

// A short run over the quickstart's data.
inline std::string quickstart_recipe(const TemporaryDirectory& directory, const std::string& changes = "") {
  const std::filesystem::path data = quickstart() / "data";
  write_bytes(directory / "recipe.yaml", "model: {path: " + (quickstart() / "model").string() + R"(, dtype: float32}
adapter: {method: lora, rank: 4, alpha: 8, dropout: 0.1, target_modules: [q_proj, v_proj]}
data:
  train: [{path: )" + (data / "train.jsonl").string() +
                                             R"(, format: completion}]
  validation: [{path: )" + (data / "validation.jsonl").string() +
                                             R"(, format: completion}]
training: {max_steps: 6, batch_size: 2, max_length: 256, learning_rate: 1.0e-3, eval_every: 3, checkpoint_every: 2}
output_dir: )" + (directory / "run").string() +
                                             "\n" + changes);
  return (directory / "recipe.yaml").string();
}

// Rows of format completion: "What comes after 3?" and "4".
inline std::string counting_rows(int count, const std::string& prompt = "prompt",
                                 const std::string& completion = "completion") {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += "{\"" + prompt + "\": \"What comes after " + std::to_string(i) + "?\", \"" + completion + "\": \"" +
            std::to_string(i + 1) + "\"}\n";
  }
  return text;
}

// With a single space for each run of white space: a cell of a table goes on in lines below.
inline std::string unfolded(const std::string& text) {
  std::string words;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n';
    if (!space || !words.ends_with(' ')) words += space ? ' ' : c;
  }
  return words;
}

inline std::vector<nlohmann::json> metrics(const std::filesystem::path& run) {
  std::vector<nlohmann::json> rows;
  std::ifstream in(run / "metrics.jsonl");
  for (std::string line; std::getline(in, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

// Times and memory apart, which may differ.
inline std::vector<nlohmann::json> comparable(const std::filesystem::path& run) {
  std::vector<nlohmann::json> rows = metrics(run);
  for (nlohmann::json& row : rows) {
    row.erase("tokens_per_second");
    row.erase("peak_memory_bytes");
    row.erase("mfu");
  }
  return rows;
}

inline std::string weights(const std::filesystem::path& run, int64_t step) {
  return read_bytes(CheckpointStore(run).directory(step) / "adapter_model.safetensors") +
         read_bytes(CheckpointStore(run).directory(step) / "optimizer.safetensors");
}

// Exit code, and `lines` lines on stderr that hold each of `parts`.
inline void check_refused(const std::vector<std::string>& arguments, int code, const std::vector<std::string>& parts,
                          int lines = 1) {
  const Outcome outcome = run(arguments);
  CAPTURE(outcome.err, outcome.out);
  CHECK(outcome.exit_code == code);
  for (const std::string& part : parts) CHECK_THAT(outcome.err, Catch::Matchers::Contains(part));
  CHECK(std::ranges::count(outcome.err, '\n') == lines);
}

}  // namespace lora::test
