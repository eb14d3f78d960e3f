#pragma once
// manifest.json: what a whole checkpoint holds. Written last, so a directory without a matching one is torn.
//   {"format_version": 1, "step": 50, "files": {"adapter.safetensors": {"size": 1234, "sha256": "…"}}}

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace lora {

inline constexpr int64_t kCheckpointFormat = 1;

// Hashes every file under `directory`, subdirectories included, flushes all of them to disk and then writes the
// manifest. Throws StorageError, also for anything that is neither a regular file nor a directory.
void write_manifest(const std::filesystem::path& directory, int64_t step);

// Why `directory` is no whole checkpoint of `step`, or nothing when it is: every file named in the manifest is there
// with the size and hash it had when written. Files that the manifest does not name are ignored.
std::optional<std::string> find_damage(const std::filesystem::path& directory, int64_t step);

}  // namespace lora
