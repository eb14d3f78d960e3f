#include "models/base/sha256.h"

// The functions that OpenSSL calls deprecated take no memory. EVP's load providers and read openssl.cnf first, and crash
// where memory runs out meanwhile.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <fcntl.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cerrno>

#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/file_descriptor.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

FileDescriptor open_to_read(const std::filesystem::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) throw_storage_error(path, "read", errno);
  return file;
}

}  // namespace

Sha256::Sha256() : state_(std::make_unique<SHA256state_st>()) { SHA256_Init(state_.get()); }

Sha256::~Sha256() = default;

void Sha256::update(const void* data, size_t size) { SHA256_Update(state_.get(), data, size); }

std::string Sha256::digest() {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256_Final(digest, state_.get());
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string sha256_of(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.digest();
}

std::string sampled_sha256_of_file(const std::filesystem::path& path) {
  constexpr int64_t kBlocks = 256, kBlock = 4096;
  const FileDescriptor file = open_to_read(path);
  const int64_t size = ::lseek(file.get(), 0, SEEK_END);
  if (size < 0) throw_storage_error(path, "read", errno);
  Sha256 hash;
  hash.update(&size, sizeof size);
  char block[kBlock];
  const int64_t blocks = std::min(kBlocks, ceil_div(size, kBlock)), last = std::max(size - kBlock, int64_t{0});
  for (int64_t i = 0; i < blocks; ++i) {
    const bool whole = size <= kBlocks * kBlock;
    const int64_t at = whole ? i * kBlock : i == blocks - 1 ? last : last / (kBlocks - 1) * i;
    const ssize_t bytes = ::pread(file.get(), block, sizeof block, at);
    if (bytes < 0) throw_storage_error(path, "read", errno);
    hash.update(block, static_cast<size_t>(bytes));
  }
  return hash.digest();
}

std::string sha256_of_file(const std::filesystem::path& path, const std::function<void(size_t bytes)>& on_piece) {
  const FileDescriptor file = open_to_read(path);
  Sha256 hash;
  char piece[1 << 16];
  while (true) {
    const ssize_t bytes = ::read(file.get(), piece, sizeof piece);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) throw_storage_error(path, "read", errno);
    if (bytes == 0) return hash.digest();
    hash.update(piece, static_cast<size_t>(bytes));
    if (on_piece) on_piece(static_cast<size_t>(bytes));
  }
}

}  // namespace lora
