#include "models/base/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/file_descriptor.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

void require(bool good) {
  if (!good) throw StorageError("SHA-256 is not available in the system's OpenSSL");
}

FileDescriptor open_to_read(const std::filesystem::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) throw_storage_error(path, "read", errno);
  return file;
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (context_ != nullptr && EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1) return;
  EVP_MD_CTX_free(context_);
  require(false);
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }

void Sha256::update(const void* data, size_t size) { require(EVP_DigestUpdate(context_, data, size) == 1); }

std::string Sha256::digest() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  require(EVP_DigestFinal_ex(context_, digest, &length) == 1);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
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

std::string sha256_of_file(const std::filesystem::path& path) {
  const FileDescriptor file = open_to_read(path);
  Sha256 hash;
  std::vector<char> piece(size_t{1} << 20);
  while (true) {
    const ssize_t bytes = ::read(file.get(), piece.data(), piece.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) throw_storage_error(path, "read", errno);
    if (bytes == 0) return hash.digest();
    hash.update(piece.data(), static_cast<size_t>(bytes));
  }
}

}  // namespace lora
