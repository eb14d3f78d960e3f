#pragma once
// A dataset as a file in the cache: written while it is built, mapped when it is read.
//
// Layout: the samples, packed as in dataset.h; their lengths and labels (int32), the forks (two
// int64) and values (float32) of preference data, one bit per used id, and a CRC-32 per
// 64 KiB of samples; the rest of the index as JSON; 40 bytes with the sizes of these three parts, the CRC-32 of the
// last two, the format's version, and "loratoks". Little-endian.

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "lora/data/dataset.h"
#include "models/base/atomic_file.h"
#include "models/base/mapped_file.h"

namespace lora {

constexpr uint32_t kTokenFileVersion = 5;

// The samples of a mapped file. Verifies the checksum of a block when it is first read, so opening a long file takes no
// longer.
class TokenFile {
 public:
  TokenFile(std::filesystem::path path, std::unique_ptr<MappedFile> file, size_t bytes,
            std::vector<uint32_t> checksums);
  // The samples' bytes [offset, offset + size). Throws StorageError if a checksum does not match.
  const std::byte* checked(size_t offset, size_t size);
  // True if all checksums match.
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
  // Writes and removes the packed tokens that `dataset` has in memory.
  void take(Dataset& dataset);
  // Writes the remaining tokens and the index. On return, the file exists. Throws StorageError, as take() does.
  void commit(Dataset& dataset);

 private:
  void note(const std::byte* data, size_t size);

  AtomicFile file_;
  size_t bytes_ = 0;
  uint32_t checksum_ = 0;  // of the incomplete block
  std::vector<uint32_t> checksums_;
};

// Returns nothing if there is no such file, or if it is truncated or its index is damaged. Verifies the samples too if
// the file is small.
std::optional<Dataset> open_token_file(const std::filesystem::path& path);

}  // namespace lora
