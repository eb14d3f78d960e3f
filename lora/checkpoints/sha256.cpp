#include "lora/checkpoints/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "models/error.h"
#include "models/io/atomic_file.h"

namespace lora {

std::string sha256_of_file(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) throw_storage_error(path, "read", errno);

  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  std::vector<char> piece(size_t{1} << 20);
  while (good) {
    const ssize_t bytes = ::read(file.get(), piece.data(), piece.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) throw_storage_error(path, "read", errno);
    if (bytes == 0) break;
    good = EVP_DigestUpdate(context.get(), piece.data(), static_cast<size_t>(bytes)) == 1;
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  good = good && EVP_DigestFinal_ex(context.get(), digest, &length) == 1;
  if (!good) throw StorageError(path.string() + ": SHA-256 is not available in the system's OpenSSL");

  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

}  // namespace lora
