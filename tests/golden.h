#pragma once
// tests/golden/: what transformers and PEFT compute, written by scripts/make_golden.py.

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/paths.h"

namespace lora::test {

inline std::filesystem::path golden_model(const std::string& name) {
  return source_dir() / "tests/golden/models" / name;
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

}  // namespace lora::test
