#pragma once
// tests/golden/families/: what transformers and PEFT compute for each family, written by
// scripts/make_golden_families.py.

#include <ATen/ATen.h>

#include "models/io/safetensors.h"
#include "models/network/token_batch.h"
#include "tests/paths.h"

namespace lora::test {

inline const std::vector<std::string>& golden_families() {
  static const std::vector<std::string> names = {"llama_yarn", "mistral",      "mistral_window", "qwen2_window",
                                                 "qwen3",      "qwen3_window", "smollm3",        "smollm3_window",
                                                 "phi3",       "phi3_window",  "phi3_longrope",  "gemma",
                                                 "gemma2",     "gemma3",       "olmo2",          "granite"};
  return names;
}

inline std::filesystem::path golden_family(const std::string& name) {
  return source_dir() / "tests/golden/families" / name;
}

struct GoldenFamily {
  explicit GoldenFamily(const std::string& name) : file(golden_family(name) / "expected.safetensors") {}
  at::Tensor operator[](const std::string& tensor) const { return file.tensor(tensor); }
  // Both rows back to back.
  TokenBatch batch() const {
    const at::Tensor ids = file.tensor("input_ids");
    return {ids.flatten(), std::vector<int64_t>(static_cast<size_t>(ids.size(0)), ids.size(1))};
  }
  // Of each token of batch() the next of its row; kIgnoredTarget for the last.
  at::Tensor targets() const {
    at::Tensor next = file.tensor("input_ids").roll(-1, 1);
    next.select(1, -1).fill_(kIgnoredTarget);
    return next.flatten();
  }
  SafetensorsFile file;
};

}  // namespace lora::test
