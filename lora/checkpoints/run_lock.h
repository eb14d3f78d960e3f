#pragma once
// Ensures that only one process writes to a run directory.

#include <filesystem>

#include "models/base/file_descriptor.h"

namespace lora {

// Holds RUN/.lock (flock, exclusive) during its lifetime. The kernel releases the lock when the process dies, for any
// reason. The file itself stays: if it were removed, two processes could lock two files of the same name.
class RunLock {
 public:
  // Creates the run directory if it is missing. Throws StorageError with the process id if another process holds the
  // lock.
  explicit RunLock(const std::filesystem::path& run_directory);

 private:
  FileDescriptor file_;
};

}  // namespace lora
