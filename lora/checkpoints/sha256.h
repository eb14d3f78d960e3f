#pragma once
// SHA-256 (FIPS 180-4) of a file.

#include <filesystem>
#include <string>

namespace lora {

// 64 lower-case hexadecimal digits. Reads the file in pieces. Throws StorageError.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace lora
