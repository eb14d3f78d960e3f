#pragma once
// A run's checkpoints: RUN/checkpoints/step-000050/. Each one is complete or absent. The store handles steps, files and
// hashes; the caller defines the contents.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "models/base/on_bytes.h"

namespace lora {

struct Checkpoint {
  int64_t step;
  std::filesystem::path directory;
};

struct SkippedCheckpoint {
  std::filesystem::path directory;
  std::string reason;
};

struct NewestCheckpoint {
  std::optional<Checkpoint> checkpoint;    // none: there is no whole checkpoint
  std::vector<SkippedCheckpoint> skipped;  // newer but damaged, newest first; the caller should warn
};

// write() and prune() require that the caller holds the run's RunLock. Reading needs no lock and changes nothing on
// disk. Not thread-safe. Every function may throw StorageError.
class CheckpointStore {
 public:
  // Does no I/O; the directory need not exist.
  explicit CheckpointStore(const std::filesystem::path& run_directory);

  // The steps that have a directory, whole or not, ascending.
  std::vector<int64_t> steps() const;
  std::filesystem::path directory(int64_t step) const;

  // `fill` writes files and subdirectories into the directory it is given. When write() returns, the checkpoint is
  // complete and on the disk; it replaces an earlier one of the same step. A crash or power loss before that leaves the
  // earlier checkpoints unchanged. `fill` must check that its writes succeed, as write_safetensors() and
  // write_file_atomically() do. If `fill` throws, nothing is left behind and the exception propagates.
  // Removes the leftovers of a killed writer first. Returns the checkpoint's directory. `on_bytes`: as they are hashed,
  // after `fill`.
  std::filesystem::path write(int64_t step, const std::function<void(const std::filesystem::path&)>& fill,
                              const OnBytes& on_bytes = {});

  // The newest checkpoint whose files all match the manifest.
  NewestCheckpoint newest_whole();

  // Verifies every file and returns the checkpoint's directory. Throws StorageError with the mismatch.
  std::filesystem::path verified(int64_t step);

  // Removes whole checkpoints except the `keep_newest` (at least 1) newest whole ones and the `protected_steps`. Keeps
  // damaged ones for a person to look at; they do not count as newest.
  void prune(int64_t keep_newest, const std::vector<int64_t>& protected_steps = {});

 private:
  std::optional<std::string> damage(int64_t step);
  void remove_leftovers() const;

  std::filesystem::path root_;
  std::set<int64_t> known_whole_;  // written or verified by this object, so not hashed again
};

}  // namespace lora
