#pragma once
// A run's checkpoints: RUN/checkpoints/step-000050/, each there as a whole or not at all. What is in them is the
// caller's business; here are steps, files and hashes.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

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
  std::optional<Checkpoint> checkpoint;    // none: there is no whole one
  std::vector<SkippedCheckpoint> skipped;  // newer but damaged, newest first: worth a warning
};

// write() and prune() want the run's RunLock held. Reading needs no lock and changes nothing on disk. Not
// thread-safe. Every call may throw StorageError.
class CheckpointStore {
 public:
  // Touches nothing; the directory may not exist yet.
  explicit CheckpointStore(const std::filesystem::path& run_directory);

  // Steps that have a directory, whole or not, ascending.
  std::vector<int64_t> steps() const;
  std::filesystem::path directory(int64_t step) const;

  // `fill` writes files, and directories if it likes, into the directory it is given. When write() returns, the
  // checkpoint is whole and on the disk, in place of an earlier one of the same step; a crash or power loss at any
  // moment before leaves the earlier checkpoints as they were. `fill` has to see to it that its writes succeeded, as
  // write_safetensors() and write_file_atomically() do; what it throws passes through and nothing is left behind.
  // Leftovers of a killed writer are removed first. Returns the checkpoint's directory.
  std::filesystem::path write(int64_t step, const std::function<void(const std::filesystem::path&)>& fill);

  // The newest checkpoint whose files all match its manifest.
  NewestCheckpoint newest_whole();

  // The checkpoint's directory, once every file in it is found to match. Throws StorageError with what does not.
  std::filesystem::path verified(int64_t step);

  // Removes whole checkpoints, but never the `keep_newest` (at least 1) newest whole ones nor the `protected_steps`.
  // Damaged ones are left for a person to look at, and do not count as newest.
  void prune(int64_t keep_newest, const std::vector<int64_t>& protected_steps = {});

 private:
  std::optional<std::string> damage(int64_t step);
  void remove_leftovers() const;

  std::filesystem::path root_;
  std::set<int64_t> known_whole_;  // written or verified through this object: hashed once
};

}  // namespace lora
