#include "models/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <string>
#include <system_error>

#include "models/base/file_descriptor.h"
#include "models/base/numbers.h"

namespace lora {

// A signal handler may neither allocate nor lock. So mappings are in a list that only grows, one entry for as many
// files as are mapped at once; an entry without `begin` is free.
struct Mapping {
  std::atomic<bool> taken = true;
  std::atomic<const std::byte*> begin = nullptr;
  size_t size = 0;
  int exit_code = 0;
  std::string message = {};
  Mapping* next = nullptr;
};

namespace {

std::atomic<Mapping*> mappings = nullptr;

Mapping* free_mapping() {
  for (Mapping* one = mappings; one != nullptr; one = one->next) {
    if (!one->taken.exchange(true)) return one;
  }
  auto* fresh = new Mapping;
  fresh->next = mappings;
  while (!mappings.compare_exchange_weak(fresh->next, fresh)) continue;
  return fresh;
}

// Async-signal-safe.
void end_at_lost_page(int, siginfo_t* info, void*) {
  const auto* address = static_cast<const std::byte*>(info->si_addr);
  for (const Mapping* one = mappings; one != nullptr; one = one->next) {
    const std::byte* begin = one->begin;
    if (begin == nullptr || address < begin || address >= begin + one->size) continue;
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, one->message.data(), one->message.size());
    ::_exit(one->exit_code);
  }
  ::signal(SIGBUS, SIG_DFL);  // of something else: the access is repeated on return, and ends the process
}

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& found) {
  throw ModelError(path.string() + ": " + found + ", expected a readable file");
}

}  // namespace

void report_lost_pages() {
  struct sigaction action {};
  action.sa_sigaction = end_at_lost_page;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

MappedFile::MappedFile(const std::filesystem::path& path, ExitCode lost) {
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
  mapping_ = free_mapping();
  mapping_->size = round_up(size_, static_cast<size_t>(::sysconf(_SC_PAGESIZE)));
  mapping_->exit_code = static_cast<int>(lost);
  mapping_->message = (lost == ExitCode::kData ? "[data] " : "[model] ") + path.string() +
                      ": became shorter while it was in use; expected a file that stays as it is, or is replaced by "
                      "rename\n";
  mapping_->begin = data_;
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  mapping_->begin = nullptr;
  ::munmap(data_, size_);
  mapping_->taken = false;
}

void MappedFile::release(size_t begin, size_t end) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  begin = round_up(begin, page);
  end = end == size_ ? end : end / page * page;
  if (begin < end) ::madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

}  // namespace lora
