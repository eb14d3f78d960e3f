#include "models/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "models/base/error.h"
#include "models/base/file_descriptor.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& found) {
  throw ModelError(path.string() + ": " + found + ", expected a readable file");
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) fail(path, std::generic_category().message(errno));
  if (S_ISDIR(status.st_mode)) fail(path, "is a directory");
  if (!S_ISREG(status.st_mode)) fail(path, "is not a regular file");
  if (status.st_size == 0) return;
  size_ = static_cast<size_t>(status.st_size);
  // Copy-on-write instead of read-only: an in-place update of a tensor that views the file must not crash. NORESERVE: a
  // model larger than the free memory can be mapped, because only written pages need memory.
  void* address = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.get(), 0);
  if (address == MAP_FAILED) fail(path, std::generic_category().message(errno));
  data_ = static_cast<std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void MappedFile::release(size_t begin, size_t end) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  begin = round_up(begin, page);
  end = end == size_ ? end : end / page * page;
  if (begin < end) ::madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

}  // namespace lora
