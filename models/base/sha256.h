#pragma once
// SHA-256 (FIPS 180-4) of files and of data that arrives in pieces.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct SHA256state_st;

namespace lora {

// Digests are 64 lower-case hexadecimal digits.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(const void* data, size_t size);
  std::string digest();  // call once, at the end

 private:
  std::unique_ptr<SHA256state_st> state_;
};

std::string sha256_of(std::string_view bytes);

// Reads the file in pieces, and tells `on_piece` the bytes of each. Throws StorageError.
std::string sha256_of_file(const std::filesystem::path& path, const std::function<void(size_t bytes)>& on_piece = {});

// Of the file's size and of 256 blocks of 4 KiB, evenly spread from its first to its last byte; of a file of up to 1
// MiB all bytes count. It tells other weights from the same ones in milliseconds, but may miss a change of few bytes.
// Throws StorageError.
std::string sampled_sha256_of_file(const std::filesystem::path& path);

}  // namespace lora
