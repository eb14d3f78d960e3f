#pragma once
// Reads small files. A pipe or a device is none, and an error.

#include <filesystem>
#include <string>

namespace lora {

// All bytes of a file in a model's directory. Throws ModelError if it cannot be read.
std::string read_file(const std::filesystem::path& path);

// The same of its first bytes, at most so many.
std::string read_beginning(const std::filesystem::path& path, size_t most);

// All bytes of a file of a run. Throws StorageError if it cannot be read.
std::string read_stored_file(const std::filesystem::path& path);

// Throws StorageError where a run's file that is read row by row is none.
void expect_stored_file(const std::filesystem::path& path);

}  // namespace lora
