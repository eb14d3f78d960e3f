#pragma once
// Files that are complete or absent: written to a temporary file in the same directory, flushed to disk, then renamed.

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "models/base/file_descriptor.h"

namespace lora {

// Throws StorageError "PATH: cannot ACTION: reason". The reason is that of `error` (an errno), with a hint for a full
// disk or a missing permission.
[[noreturn]] void throw_storage_error(const std::filesystem::path& path, const std::string& action, int error);

// Makes a system call again while a signal interrupts it, a thousand times at most. Not for close(), which gives up the
// descriptor in any case.
template <typename Call>
auto retry_interrupted(const Call& call) {
  auto result = call();
  for (int times = 0; times < 1000 && result < 0 && errno == EINTR; ++times) result = call();
  return result;
}

// Writes all bytes, in as many calls as needed. Throws StorageError with `path`.
void write_all(int descriptor, const void* data, size_t size, const std::filesystem::path& path);

// Flush a file's bytes or a directory's entries to disk. All throw StorageError. A flush that failed is not tried
// again: the system may have dropped the bytes, and a second flush would report success.
void sync_descriptor(int descriptor, const std::filesystem::path& path);
void sync_file(const std::filesystem::path& path);
void sync_directory(const std::filesystem::path& path);

// Renames a file or directory. Throws StorageError.
void rename_path(const std::filesystem::path& from, const std::filesystem::path& to);

// Replaces the directory `place` by `fresh`; `place` is then at `old`. At every moment one of the two is at `place`,
// except on file systems that cannot exchange names, such as NFS. Throws StorageError.
void exchange_directories(const std::filesystem::path& fresh, const std::filesystem::path& place,
                          const std::filesystem::path& old);

// A file being written. Until commit() returns, the old file at `path` is unchanged; afterwards the new bytes are there
// and survive a power loss. The destructor removes the temporary file if commit() was not called. A killed process
// leaves a hidden file `.NAME.tmp-PID-N` next to `path`. Every function may throw StorageError.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t size);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  FileDescriptor file_;
};

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

}  // namespace lora
