#pragma once
// One process at a time writes to a run directory.

#include <filesystem>

#include "models/base/file_descriptor.h"

namespace lora {

// Holds RUN/.lock (flock, exclusive) for as long as it lives; the kernel lets go when the process dies, however it
// dies. The file itself stays: removing it would let two processes lock two files of one name.
class RunLock {
 public:
  // Creates the run directory where it is missing. Throws StorageError when another process holds the lock, naming
  // its number.
  explicit RunLock(const std::filesystem::path& run_directory);

 private:
  FileDescriptor file_;
};

}  // namespace lora
