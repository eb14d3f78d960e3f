#pragma once
// A directory of one process that all processes of a run can read, also where they share no file system.

#include <filesystem>

#include "lora/training/replicas.h"

namespace lora {

class SharedDirectory {
 public:
  // `directory`: of the process of rank 0, which alone reads it and gives it to the others. Those get a copy of its
  // files in the system's directory for temporary files, which the destructor removes. Throws StorageError.
  SharedDirectory(Replicas& replicas, const std::filesystem::path& directory);
  ~SharedDirectory();
  SharedDirectory(const SharedDirectory&) = delete;
  SharedDirectory& operator=(const SharedDirectory&) = delete;

  // Of rank 0 the directory itself, else the copy.
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_, made_;  // made_: to be removed; empty: nothing
};

}  // namespace lora
