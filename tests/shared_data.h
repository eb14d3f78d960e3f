#pragma once
// Real models, tokenizers and data sets that lie beside the checkout, in ../shared/data or where LORA_SHARED_DATA says.

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>

#include "tests/paths.h"

namespace lora::test {

// The path of `name` ("stories260k", "text/input.txt") in the shared data; where it is absent, nothing, after a line on
// stderr. A test that needs it returns then:
//   const auto model = shared_data("stories260k");
//   if (!model) return;
inline std::optional<std::filesystem::path> shared_data(const std::string& name = "") {
  const char* set = std::getenv("LORA_SHARED_DATA");
  const auto root = set ? std::filesystem::path(set) : source_dir().parent_path() / "shared" / "data";
  const auto path = name.empty() ? root : root / name;
  if (std::filesystem::exists(path)) return path;
  std::cerr << "skipped: this test needs " << path.string() << "\n";
  return std::nullopt;
}

}  // namespace lora::test
