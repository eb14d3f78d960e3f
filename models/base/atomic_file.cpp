#include "models/base/atomic_file.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "models/base/error.h"

namespace lora {
namespace {

std::string hint(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space, or choose a place on another disk";
    case EFBIG:
      return "; the file would be larger than the process may write (see ulimit -f)";
    case EACCES:
    case EPERM:
    case EROFS:
      return "; choose a place that this user may write to";
    default:
      return "";
  }
}

std::filesystem::path parent_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

void sync(const std::filesystem::path& path, int flags) {
  const FileDescriptor file(retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags); }));
  if (file.get() < 0) throw_storage_error(path, "flush to disk", errno);
  sync_descriptor(file.get(), path);
}

}  // namespace

void throw_storage_error(const std::filesystem::path& path, const std::string& action, int error) {
  throw StorageError(path.string() + ": cannot " + action + ": " + std::generic_category().message(error) +
                     hint(error));
}

void write_all(int descriptor, const void* data, size_t size, const std::filesystem::path& path) {
  constexpr size_t kLargestWrite = size_t{1} << 30;  // Linux writes at most slightly less than 2 GiB per call
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = retry_interrupted([&] { return ::write(descriptor, next, std::min(size, kLargestWrite)); });
    if (written < 0) throw_storage_error(path, "write", errno);
    next += written;
    size -= static_cast<size_t>(written);
  }
}

void rename_path(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_storage_error(to, "put in its place", errno);
}

void exchange_directories(const std::filesystem::path& fresh, const std::filesystem::path& place,
                          const std::filesystem::path& old) {
  if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, place.c_str(), RENAME_EXCHANGE) == 0) {
    rename_path(fresh, old);
    return;
  }
  if (errno != EINVAL && errno != ENOSYS) throw_storage_error(place, "put in its place", errno);
  rename_path(place, old);
  rename_path(fresh, place);
}

void sync_descriptor(int descriptor, const std::filesystem::path& path) {
  if (retry_interrupted([&] { return ::fsync(descriptor); }) != 0) throw_storage_error(path, "flush to disk", errno);
}

void sync_file(const std::filesystem::path& path) { sync(path, 0); }
void sync_directory(const std::filesystem::path& path) { sync(path, O_DIRECTORY); }

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  static std::atomic<unsigned> count{0};
  do {  // again where a dead process with the same id may have left its file
    temporary_ = parent_of(path_) / ("." + path_.filename().string() + ".tmp-" + std::to_string(::getpid()) + "-" +
                                     std::to_string(count++));
    file_ = FileDescriptor(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  } while (file_.get() < 0 && (errno == EEXIST || errno == EINTR));
  if (file_.get() < 0) throw_storage_error(path_, "write", errno);
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty() && file_.get() >= 0) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t size) { write_all(file_.get(), data, size, path_); }

void AtomicFile::commit() {
  sync_descriptor(file_.get(), path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_storage_error(path_, "put in its place", errno);
  temporary_.clear();
  // Some network file systems report a failed write only here.
  if (::close(file_.release()) != 0 && errno != EINTR) throw_storage_error(path_, "close", errno);
  sync_directory(parent_of(path_));
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace lora
