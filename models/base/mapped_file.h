#pragma once
// A file as memory: read from disk page by page, when touched.

#include <cstddef>
#include <filesystem>

namespace lora {

// The mapping is private and copy-on-write: a write into the bytes stays in this process and never reaches the file.
// Replacing the file by rename leaves the mapping as it was; truncating it in place while mapped makes a later touch
// of the lost pages raise SIGBUS, so writers here always rename (see atomic_file.h).
class MappedFile {
 public:
  // Throws ModelError when `path` is no readable regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Aligned to a page; null when the file is empty.
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

  // Gives back the memory of the whole pages within bytes [begin, end); what was written into them is lost.
  void release(size_t begin, size_t end) const;

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace lora
