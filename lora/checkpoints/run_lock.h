#pragma once
// Ensures that only one process writes to a run directory.

#include <filesystem>
#include <vector>

#include "models/base/file_descriptor.h"

namespace lora {

// Makes a directory and those above it that are missing, and flushes their names to disk. Its destructor removes those
// that it made and that are empty, so that a run that is refused leaves nothing behind. Throws StorageError.
class MadeDirectories {
 public:
  explicit MadeDirectories(const std::filesystem::path& directory);
  ~MadeDirectories();
  MadeDirectories(const MadeDirectories&) = delete;
  MadeDirectories& operator=(const MadeDirectories&) = delete;

 private:
  std::vector<std::filesystem::path> made_;  // the outermost first
};

// Holds RUN/.lock (flock, exclusive) during its lifetime. The kernel releases the lock when the process dies, for any
// reason. The file stays in a directory that holds a run. From one that holds nothing else, the destructor removes it,
// with the directories that were made for it.
class RunLock {
 public:
  // Creates the run directory if it is missing. Throws StorageError with the process id if another process holds the
  // lock.
  explicit RunLock(const std::filesystem::path& run_directory);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  const std::filesystem::path directory_;
  MadeDirectories made_;
  FileDescriptor file_;
};

}  // namespace lora
