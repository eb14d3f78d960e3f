#pragma once
// Where a test finds the project's own files and programs.

#include <filesystem>
#include <string>

namespace lora::test {

// The checkout, with recipes/ and assets.
inline std::filesystem::path source_dir() { return LORA_SOURCE_DIR; }

// A program of this build: program("lora-train").
inline std::filesystem::path program(const std::string& name) { return std::filesystem::path(LORA_BINARY_DIR) / name; }

}  // namespace lora::test
