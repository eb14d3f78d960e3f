#pragma once
// Files that are whole or not there: written beside their place, flushed to the disk, then renamed into it.

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "models/base/file_descriptor.h"

namespace lora {

// Throws StorageError "PATH: cannot ACTION: reason", the reason being that of `error` (an errno), with a hint for a
// full disk or a missing permission.
[[noreturn]] void throw_storage_error(const std::filesystem::path& path, const std::string& action, int error);

// Writes all bytes, however many calls it takes. Throws StorageError naming `path`.
void write_all(int descriptor, const void* data, size_t size, const std::filesystem::path& path);

// Flush a file's bytes, or a directory's list of names, to the disk. Throw StorageError.
void sync_file(const std::filesystem::path& path);
void sync_directory(const std::filesystem::path& path);

// A file being written. Until commit() returns, whatever stood at `path` before still stands there; afterwards the new
// bytes do, and survive a power loss. Destroyed without commit() (an exception, say), it leaves nothing behind; a
// killed process leaves a hidden file `.NAME.tmp-PID-N` beside `path`. Every call may throw StorageError.
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
