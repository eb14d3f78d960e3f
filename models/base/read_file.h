#pragma once
// Small files as a whole.

#include <filesystem>
#include <string>

namespace lora {

// The bytes of a file of a model directory; ModelError where it cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace lora
