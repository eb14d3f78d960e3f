#pragma once
// A dataset as a file, for the cache: written as it is made, mapped when it is read.
//
// The samples, packed as dataset.h says; then their lengths and labels (int32), a bit for each id that is used, and a
// CRC-32 for each 64 KiB of the samples; then the rest of the index as JSON; then 40 bytes: the sizes of these three
// parts, the CRC-32 of the last two, the format's version, and "loratoks". Little-endian.

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "lora/data/dataset.h"
#include "models/base/atomic_file.h"
#include "models/base/mapped_file.h"

namespace lora {

constexpr uint32_t kTokenFileVersion = 2;

// The samples of a mapped file. A block is compared with its checksum when it is first read, so that opening takes no
// longer for a long file.
class TokenFile {
 public:
  TokenFile(std::filesystem::path path, std::unique_ptr<MappedFile> file, size_t bytes,
            std::vector<uint32_t> checksums);
  // The samples' bytes [offset, offset + size). StorageError where they are not those that were written.
  const std::byte* checked(size_t offset, size_t size);
  // Whether all of them are.
  bool whole();

 private:
  bool block_is_good(size_t block);

  const std::filesystem::path path_;
  const std::unique_ptr<MappedFile> file_;
  const size_t bytes_;
  const std::vector<uint32_t> checksums_;
  std::vector<std::atomic<bool>> good_;
};

class TokenFileWriter {
 public:
  explicit TokenFileWriter(const std::filesystem::path& path) : file_(path) {}
  // The packed tokens that `dataset` has in memory, which it then has no longer.
  void take(Dataset& dataset);
  // What is left of them and the index. The file is there when this returns. Throws StorageError, as take does.
  void commit(Dataset& dataset);

 private:
  void note(const std::byte* data, size_t size);

  AtomicFile file_;
  size_t bytes_ = 0;
  uint32_t checksum_ = 0;  // of the block that is not full
  std::vector<uint32_t> checksums_;
};

// None where there is no such file, or one that is not whole: torn, damaged in its index or, where it is short enough
// to look, anywhere.
std::optional<Dataset> open_token_file(const std::filesystem::path& path);

}  // namespace lora
