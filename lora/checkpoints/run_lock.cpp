#include "lora/checkpoints/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "models/base/atomic_file.h"
#include "models/base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

// Whether the open file is still the one at `path`: another process may have removed it before it was locked.
bool is_at(const FileDescriptor& file, const fs::path& path) {
  struct stat held {
  }, there{};
  return ::fstat(file.get(), &held) == 0 && ::stat(path.c_str(), &there) == 0 && held.st_ino == there.st_ino &&
         held.st_dev == there.st_dev;
}

bool holds_only(const fs::path& directory, const std::string& name) {
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename() != name) return false;
  }
  return !error;
}

}  // namespace

MadeDirectories::MadeDirectories(const fs::path& directory) {
  std::error_code error;
  const fs::path whole = fs::absolute(directory, error);
  fs::path path;
  for (const fs::path& part : whole) {
    path /= part;
    if (part.empty() || part == "." || fs::is_directory(path, error)) continue;
    if (fs::create_directory(path, error)) {
      made_.push_back(path);
      // A flushed file is lost with a directory whose own name was not flushed.
      if (path.has_parent_path()) sync_directory(path.parent_path());
    }
    // Something that is not a directory is in the place.
    if (error) throw_storage_error(directory, "create", error.value() == EEXIST ? ENOTDIR : error.value());
  }
}

MadeDirectories::~MadeDirectories() {
  for (auto path = made_.rbegin(); path != made_.rend(); ++path) ::rmdir(path->c_str());  // fails if it holds something
}

RunLock::RunLock(const fs::path& run_directory) : directory_(run_directory), made_(run_directory) {
  const fs::path path = run_directory / ".lock";
  do {
    file_ = FileDescriptor(retry_interrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666); }));
    if (file_.get() < 0) throw_storage_error(path, "open", errno);
    if (retry_interrupted([&] { return ::flock(file_.get(), LOCK_EX | LOCK_NB); }) != 0) {
      if (errno != EWOULDBLOCK) throw_storage_error(path, "lock", errno);
      char holder[32] = {};
      const ssize_t length = ::pread(file_.get(), holder, sizeof(holder) - 1, 0);
      throw StorageError(run_directory.string() + ": another process" +
                         (length > 0 ? " (pid " + std::string(holder) + ")" : std::string()) +
                         " is writing to this run; wait for it, or choose another output_dir");
    }
  } while (!is_at(file_, path));
  const std::string self = std::to_string(::getpid());
  if (::ftruncate(file_.get(), 0) != 0) throw_storage_error(path, "write", errno);
  write_all(file_.get(), self.data(), self.size(), path);
}

RunLock::~RunLock() {
  // While the lock is held, so that no other process holds a lock on a file without a name.
  if (holds_only(directory_, ".lock")) ::unlink((directory_ / ".lock").c_str());
}

}  // namespace lora
