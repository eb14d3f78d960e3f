#pragma once
// What an export may be written in place of: it is removed whole, so it must hold nothing that is not an export's.

#include <filesystem>

namespace lora {

// Throws StorageError where `output` is a directory that an export of a directory must not replace: it is or holds the
// base model's, or it has a file or folder of a name that no export writes (a run's, data, a person's own), which the
// message names. Nothing there, an empty directory and an earlier export are fine.
void expect_replaceable(const std::filesystem::path& output, const std::filesystem::path& model_directory);

}  // namespace lora
