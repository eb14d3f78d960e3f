#include "models/base/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>

#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/file_descriptor.h"

namespace lora {
namespace {

// In place of an errno.
constexpr int kNotAFile = -1;
constexpr const char* kNotAFileText = ": is a pipe or a device; expected a file";

constexpr size_t kAll = std::numeric_limits<size_t>::max();

// At most so many bytes. Sets `error` to an errno, or to zero. A pipe would be waited for, and a device may have no end.
std::string read_bytes(const std::filesystem::path& path, size_t most, int& error) {
  const FileDescriptor file(retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
  struct stat status {};
  if (file.get() >= 0 && ::fstat(file.get(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
    error = kNotAFile;
    return "";
  }
  std::string bytes;
  char piece[1 << 16];
  ssize_t count = file.get() < 0 ? -1 : 1;
  while (count > 0 && bytes.size() < most) {
    const size_t next = std::min(sizeof(piece), most - bytes.size());
    count = retry_interrupted([&] { return ::read(file.get(), piece, next); });
    if (count > 0) bytes.append(piece, static_cast<size_t>(count));
  }
  error = count < 0 ? errno : 0;
  return bytes;
}

}  // namespace

std::string read_file(const std::filesystem::path& path) { return read_beginning(path, kAll); }

std::string read_beginning(const std::filesystem::path& path, size_t most) {
  int error = 0;
  std::string bytes = read_bytes(path, most, error);
  if (error == kNotAFile) throw ModelError(path.string() + kNotAFileText);
  if (error != 0) throw ModelError(path.string() + ": cannot be read: " + std::generic_category().message(error));
  return bytes;
}

std::string read_stored_file(const std::filesystem::path& path) {
  int error = 0;
  std::string bytes = read_bytes(path, kAll, error);
  if (error == kNotAFile) throw StorageError(path.string() + kNotAFileText);
  if (error != 0) throw_storage_error(path, "read", error);
  return bytes;
}

void expect_stored_file(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path))
    throw StorageError(path.string() + ": is a pipe, a device or a directory; expected a file");
}

}  // namespace lora
