#pragma once
// A memory-mapped file: the system reads each page from disk on first access.

#include <cstddef>
#include <filesystem>

namespace lora {

// The mapping is private and copy-on-write: a write stays in this process and never reaches the file. Replacing the
// file by rename does not change the mapping. Truncating the file in place makes an access to the lost pages raise
// SIGBUS, so this project always replaces files by rename (see atomic_file.h).
class MappedFile {
 public:
  // Throws ModelError if `path` is not a readable regular file.
  explicit MappedFile(const std::filesystem::path& path);
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
};

}  // namespace lora
