#pragma once
// A memory-mapped file: the system reads each page from disk on first access.

#include <cstddef>
#include <filesystem>

#include "models/base/error.h"

namespace lora {

// From now on, an access to a mapped page that is no longer in its file ends the process with one message that names
// the file, and with the file's exit code, instead of with SIGBUS.
void report_lost_pages();

// The mapping is private and copy-on-write: a write stays in this process and never reaches the file. Replacing the
// file by rename does not change the mapping. Truncating the file in place makes an access to the lost pages raise
// SIGBUS (see report_lost_pages), so this project always replaces files by rename (see atomic_file.h).
class MappedFile {
 public:
  // Throws ModelError if `path` is not a readable regular file. `lost` is the exit code for a page that is lost later.
  explicit MappedFile(const std::filesystem::path& path, ExitCode lost = ExitCode::kModel);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Page-aligned; null if the file is empty.
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

  // Releases the memory of the whole pages within bytes [begin, end). Data written into them is lost.
  void release(size_t begin, size_t end) const;

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  struct Mapping* mapping_ = nullptr;  // what report_lost_pages() knows of this file; not owned
};

}  // namespace lora
