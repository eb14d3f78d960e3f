#include "lora/checkpoints/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "models/base/atomic_file.h"
#include "models/base/error.h"

namespace lora {

RunLock::RunLock(const std::filesystem::path& run_directory) {
  std::error_code error;
  std::filesystem::create_directories(run_directory, error);
  if (error) throw_storage_error(run_directory, "create", error.value());

  const std::filesystem::path path = run_directory / ".lock";
  file_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (file_.get() < 0) throw_storage_error(path, "open", errno);
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw_storage_error(path, "lock", errno);
    char holder[32] = {};
    const ssize_t length = ::pread(file_.get(), holder, sizeof(holder) - 1, 0);
    throw StorageError(run_directory.string() + ": another process" +
                       (length > 0 ? " (pid " + std::string(holder) + ")" : std::string()) +
                       " is writing to this run; wait for it, or choose another output_dir");
  }
  const std::string self = std::to_string(::getpid());
  if (::ftruncate(file_.get(), 0) != 0) throw_storage_error(path, "write", errno);
  write_all(file_.get(), self.data(), self.size(), path);
}

}  // namespace lora
