#pragma once
// manifest.json lists the files of a checkpoint. It is written last: without a matching manifest, a checkpoint is
// damaged.
//   {"format_version": 1, "step": 50, "files": {"adapter.safetensors": {"size": 1234, "sha256": "…"}}}

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "models/base/on_bytes.h"

namespace lora {

inline constexpr int64_t kCheckpointFormat = 1;

// Hashes every file under `directory` and its subdirectories, flushes them to disk, and then writes the manifest.
// Throws StorageError, also if there is anything other than a regular file or a directory. `on_bytes`: as they are
// hashed.
void write_manifest(const std::filesystem::path& directory, int64_t step, const OnBytes& on_bytes = {});

// Returns nothing if `directory` is a whole checkpoint of `step`: every file in the manifest exists with the recorded
// size and hash. Otherwise returns what is wrong. Files that the manifest does not name are ignored.
std::optional<std::string> find_damage(const std::filesystem::path& directory, int64_t step);

}  // namespace lora
