// The part of the library that takes the place of libc's file functions: parts.h says how it is told what to do.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>

#include "tests/faults/interposed/parts.h"
#include "tests/faults/interposed/recording.h"

using interposed::number;
using interposed::open_for_append;
using interposed::real;

namespace {

enum class Fault { kNone, kKill, kKillAfter, kShort, kFail, kFailOn };

struct Settings {
  char directory[PATH_MAX] = "";
  size_t directory_length = 0;
  int trace = -1, record = -1;
  Fault fault = Fault::kNone;
  int error = 0;
  long call = 0;
  bool no_sync = false;
};

Settings settings;
std::atomic<long> calls{0}, changes{0};
std::atomic<const char*> failing_kind{nullptr};  // fail-on: the kind that fails from now on

}  // namespace

void interposed::begin_files() {
  settings = Settings();
  calls = changes = 0;
  failing_kind = nullptr;
  if (const char* directory = ::getenv("LORA_FAULT_DIRECTORY")) {
    ::snprintf(settings.directory, sizeof(settings.directory), "%s", directory);
    settings.directory_length = ::strlen(settings.directory);
  }
  settings.trace = open_for_append("LORA_FAULT_TRACE");
  settings.record = open_for_append("LORA_FAULT_RECORD");
  settings.call = number("LORA_FAULT_CALL");
  settings.no_sync = number("LORA_FAULT_NO_SYNC") != 0;
  const char* fault = ::getenv("LORA_FAULT");
  if (!fault) return;
  if (::strcmp(fault, "kill") == 0) settings.fault = Fault::kKill;
  if (::strcmp(fault, "kill-after") == 0) settings.fault = Fault::kKillAfter;
  if (::strcmp(fault, "short") == 0) settings.fault = Fault::kShort;
  if (::strncmp(fault, "fail:", 5) == 0) settings.fault = Fault::kFail, settings.error = ::atoi(fault + 5);
  if (::strncmp(fault, "fail-on:", 8) == 0) settings.fault = Fault::kFailOn, settings.error = ::atoi(fault + 8);
}

namespace {

struct Path {
  char text[PATH_MAX] = "";
  bool counts = false;
};

// Removes '.', '..' and doubled slashes; what they lead through are plain directories here.
void normalize(char* path) {
  char out[PATH_MAX];
  size_t length = 0;
  for (char* part = path; *part;) {
    while (*part == '/') ++part;
    char* end = part;
    while (*end && *end != '/') ++end;
    const size_t size = static_cast<size_t>(end - part);
    if (size == 2 && part[0] == '.' && part[1] == '.') {
      while (length > 0 && out[--length] != '/') {
      }
    } else if (size > 0 && !(size == 1 && part[0] == '.') && length + size + 2 < sizeof(out)) {
      out[length++] = '/';
      ::memcpy(out + length, part, size);
      length += size;
    }
    part = end;
  }
  out[length] = 0;
  ::memcpy(path, out, length + 1);
}

void decide(Path& path) {
  const size_t length = settings.directory_length;
  path.counts = length > 0 && ::strncmp(path.text, settings.directory, length) == 0 &&
                (path.text[length] == '/' || path.text[length] == 0);
}

Path path_of(int descriptor) {
  Path path;
  if (settings.directory_length == 0) return path;
  char link[64];
  ::snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
  const ssize_t length = ::readlink(link, path.text, sizeof(path.text) - 1);
  path.text[length > 0 ? length : 0] = 0;
  decide(path);
  return path;
}

Path path_at(int directory, const char* name) {
  Path path;
  if (settings.directory_length == 0 || !name) return path;
  if (*name == '/') {
    ::snprintf(path.text, sizeof(path.text), "%s", name);
  } else {
    char base[PATH_MAX];
    if (directory == AT_FDCWD) {
      if (!::getcwd(base, sizeof(base))) return path;
    } else {
      ::snprintf(base, sizeof(base), "%s", path_of(directory).text);
    }
    ::snprintf(path.text, sizeof(path.text), "%.2000s/%.2000s", base, name);
  }
  normalize(path.text);
  decide(path);
  return path;
}

// One counted call. It tells whether the call is to be made, and ends the program where that is asked for.
class Call {
 public:
  Call(const char* kind, const Path& path, bool change) : counts_(path.counts) {
    if (!counts_) return;
    const int before = errno;
    const long index = ++calls, changed = change ? ++changes : changes.load();
    if (settings.trace >= 0) {
      char line[PATH_MAX + 64];
      const int length = ::snprintf(line, sizeof(line), "%s%s %s\n", change ? "*" : "", kind, path.text);
      ::syscall(SYS_write, settings.trace, line, length);
    }
    const bool kills = settings.fault == Fault::kKill || settings.fault == Fault::kKillAfter;
    here_ = settings.fault != Fault::kNone && (kills ? change && changed == settings.call : index == settings.call);
    if (here_ && settings.fault == Fault::kKill) die();
    if (here_ && settings.fault == Fault::kFailOn) failing_kind = kind;
    const char* failing = failing_kind.load();
    fails_ = (here_ && settings.fault == Fault::kFail) || (failing && ::strcmp(failing, kind) == 0);
    errno = before;
  }
  ~Call() {
    if (here_ && settings.fault == Fault::kKillAfter) die();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool counts() const { return counts_; }
  bool fails() const {
    if (fails_) errno = settings.error;
    return fails_;
  }
  bool is_short() const { return here_ && settings.fault == Fault::kShort; }

 private:
  [[noreturn]] static void die() {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }

  bool counts_, here_ = false, fails_ = false;
};

void record(lora::test::Event::Kind kind, uint64_t file, uint64_t offset, const char* path, const char* other,
            const void* data, size_t size) {
  if (settings.record < 0) return;
  lora::test::EventHeader header{};
  header.kind = static_cast<uint32_t>(kind);
  header.path_size = static_cast<uint32_t>(path ? ::strlen(path) : 0);
  header.other_size = static_cast<uint32_t>(other ? ::strlen(other) : 0);
  header.file = file;
  header.offset = offset;
  header.data_size = size;
  const iovec parts[] = {{&header, sizeof(header)},
                         {const_cast<char*>(path), header.path_size},
                         {const_cast<char*>(other), header.other_size},
                         {const_cast<void*>(data), size}};
  ::syscall(SYS_writev, settings.record, parts, 4);
}

using Kind = lora::test::Event::Kind;

uint64_t file_of(int descriptor) {
  struct stat status {};
  return ::syscall(SYS_newfstatat, descriptor, "", &status, AT_EMPTY_PATH) == 0 ? status.st_ino : 0;
}

uint64_t file_at(const char* path) {
  struct stat status {};
  return ::syscall(SYS_newfstatat, AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_ino : 0;
}

// Where the next write to a descriptor goes.
uint64_t place_in(int descriptor) {
  const long flags = ::syscall(SYS_fcntl, descriptor, F_GETFL);
  struct stat status {};
  if (flags & O_APPEND) {
    ::syscall(SYS_newfstatat, descriptor, "", &status, AT_EMPTY_PATH);
    return static_cast<uint64_t>(status.st_size);
  }
  return static_cast<uint64_t>(::syscall(SYS_lseek, descriptor, 0, SEEK_CUR));
}

// Opens as `make` does, counted.
template <typename Make>
int opened(const Path& path, int flags, const Make& make) {
  const bool change = (flags & (O_CREAT | O_TRUNC)) != 0;
  const Call call("open", path, change);
  if (call.fails()) return -1;
  const bool fresh = call.counts() && settings.record >= 0 && file_at(path.text) == 0;
  const int descriptor = make();
  if (!call.counts() || descriptor < 0 || !change) return descriptor;
  const int before = errno;
  if (fresh) {
    record(Kind::kCreate, file_of(descriptor), 0, path.text, nullptr, nullptr, 0);
  } else if (flags & O_TRUNC) {
    record(Kind::kTruncate, file_of(descriptor), 0, nullptr, nullptr, nullptr, 0);
  }
  errno = before;
  return descriptor;
}

bool takes_mode(int flags) { return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE; }

int flags_of(const char* mode) {
  const int access = ::strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
  return access | (*mode == 'w' ? O_CREAT | O_TRUNC : *mode == 'a' ? O_CREAT | O_APPEND : 0);
}

// A file that is opened through `FILE*`: its descriptor is libc's, so that the stream is made here of ours.
FILE* stream(const char* name, const char* mode) {
  const Path path = path_at(AT_FDCWD, name);
  FILE* file = nullptr;
  opened(path, flags_of(mode), [&] {
    static auto* const next = real<decltype(::fopen)>("fopen64");
    file = next(name, mode);
    return file ? ::fileno(file) : -1;
  });
  return file;
}

template <typename Write>
ssize_t written(const char* kind, int descriptor, const Path& path, size_t size, const Write& write) {
  const Call call(kind, path, true);
  if (call.fails()) return -1;
  if (!call.counts()) return write(size);
  const uint64_t offset = settings.record >= 0 ? place_in(descriptor) : 0;
  const ssize_t count = write(call.is_short() && size > 1 ? size / 2 : size);
  if (count <= 0 || settings.record < 0) return count;
  // Read back from the file: what was written may have come from another file.
  const int before = errno;
  char link[64];
  ::snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
  const long file = ::syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
  void* data = ::mmap(nullptr, static_cast<size_t>(count), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ::syscall(SYS_pread64, file, data, count, offset);
  record(Kind::kWrite, file_of(descriptor), offset, nullptr, nullptr, data, static_cast<size_t>(count));
  ::munmap(data, static_cast<size_t>(count));
  ::syscall(SYS_close, file);
  errno = before;
  return count;
}

int synced(const char* kind, int descriptor) {
  const Call call(kind, path_of(descriptor), false);
  if (call.fails()) return -1;
  if (!call.counts()) return static_cast<int>(::syscall(SYS_fsync, descriptor));
  if (settings.no_sync) return 0;
  record(Kind::kSync, file_of(descriptor), 0, nullptr, nullptr, nullptr, 0);
  return 0;  // nothing in these tests outlives the machine
}

int removed(const char* kind, const Path& path, bool directory, int (*remove)(const char*), const char* name) {
  const Call call(kind, path, true);
  if (call.fails()) return -1;
  const int result = remove(name);
  if (result == 0 && call.counts()) {
    record(directory ? Kind::kRemoveDirectory : Kind::kUnlink, 0, 0, path.text, nullptr, nullptr, 0);
  }
  return result;
}

template <typename Rename>
int renamed(int from_directory, const char* from, int to_directory, const char* to, bool exchange,
            const Rename& rename) {
  const Path source = path_at(from_directory, from), target = path_at(to_directory, to);
  const Call call("rename", target, true);
  if (call.fails()) return -1;
  const int result = rename();
  if (result == 0 && call.counts()) {
    record(exchange ? Kind::kExchange : Kind::kRename, 0, 0, source.text, target.text, nullptr, 0);
  }
  return result;
}

}  // namespace

extern "C" {

int open(const char* name, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = takes_mode(flags) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return opened(path_at(AT_FDCWD, name), flags,
                [&] { return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, name, flags, mode)); });
}
int open64(const char* name, int flags, ...) __attribute__((alias("open")));

int openat(int directory, const char* name, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = takes_mode(flags) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return opened(path_at(directory, name), flags,
                [&] { return static_cast<int>(::syscall(SYS_openat, directory, name, flags, mode)); });
}
int openat64(int directory, const char* name, int flags, ...) __attribute__((alias("openat")));

FILE* fopen(const char* name, const char* mode) { return stream(name, mode); }
FILE* fopen64(const char* name, const char* mode) { return stream(name, mode); }

ssize_t write(int descriptor, const void* data, size_t size) {
  return written("write", descriptor, path_of(descriptor), size,
                 [&](size_t part) { return ::syscall(SYS_write, descriptor, data, part); });
}

ssize_t writev(int descriptor, const iovec* parts, int count) {
  size_t size = 0;
  for (int i = 0; i < count; ++i) size += parts[i].iov_len;
  return written("write", descriptor, path_of(descriptor), size, [&](size_t part) -> ssize_t {
    if (part == size) return ::syscall(SYS_writev, descriptor, parts, count);
    return ::syscall(SYS_write, descriptor, parts[0].iov_base, part < parts[0].iov_len ? part : parts[0].iov_len);
  });
}

ssize_t sendfile(int out, int in, off_t* offset, size_t size) {
  return written("write", out, path_of(out), size,
                 [&](size_t part) { return ::syscall(SYS_sendfile, out, in, offset, part); });
}
ssize_t sendfile64(int out, int in, off64_t* offset, size_t size) __attribute__((alias("sendfile")));

ssize_t copy_file_range(int in, off64_t* from, int out, off64_t* to, size_t size, unsigned flags) {
  return written("write", out, path_of(out), size,
                 [&](size_t part) { return ::syscall(SYS_copy_file_range, in, from, out, to, part, flags); });
}

ssize_t read(int descriptor, void* data, size_t size) {
  const Call call("read", path_of(descriptor), false);
  return call.fails() ? -1 : ::syscall(SYS_read, descriptor, data, size);
}

void* mmap(void* address, size_t size, int protection, int flags, int descriptor, off_t offset) {
  if (descriptor >= 0) {
    const Call call("mmap", path_of(descriptor), false);
    if (call.fails()) return MAP_FAILED;
  }
  return reinterpret_cast<void*>(::syscall(SYS_mmap, address, size, protection, flags, descriptor, offset));
}
void* mmap64(void* address, size_t size, int protection, int flags, int descriptor, off64_t offset)
    __attribute__((alias("mmap")));

int fsync(int descriptor) { return synced("fsync", descriptor); }
int fdatasync(int descriptor) { return synced("fsync", descriptor); }

int close(int descriptor) {
  const Path path = path_of(descriptor);
  const bool writes = path.counts && (::syscall(SYS_fcntl, descriptor, F_GETFL) & O_ACCMODE) != O_RDONLY;
  if (!writes) return static_cast<int>(::syscall(SYS_close, descriptor));
  const Call call("close", path, false);
  const int result = static_cast<int>(::syscall(SYS_close, descriptor));
  return call.fails() ? -1 : result;
}

int fclose(FILE* file) {
  REAL(fclose);
  const Call call("close", path_of(::fileno(file)), false);
  const int result = call_next(file);
  return call.fails() ? EOF : result;
}

int rename(const char* from, const char* to) {
  return renamed(AT_FDCWD, from, AT_FDCWD, to, false,
                 [&] { return static_cast<int>(::syscall(SYS_rename, from, to)); });
}
int renameat(int from_directory, const char* from, int to_directory, const char* to) {
  return renamed(from_directory, from, to_directory, to, false,
                 [&] { return static_cast<int>(::syscall(SYS_renameat2, from_directory, from, to_directory, to, 0)); });
}
int renameat2(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) {
  return renamed(from_directory, from, to_directory, to, (flags & RENAME_EXCHANGE) != 0, [&] {
    return static_cast<int>(::syscall(SYS_renameat2, from_directory, from, to_directory, to, flags));
  });
}

int unlink(const char* name) {
  return removed(
      "unlink", path_at(AT_FDCWD, name), false,
      [](const char* n) { return static_cast<int>(::syscall(SYS_unlink, n)); }, name);
}
int rmdir(const char* name) {
  return removed(
      "rmdir", path_at(AT_FDCWD, name), true, [](const char* n) { return static_cast<int>(::syscall(SYS_rmdir, n)); },
      name);
}
int remove(const char* name) {
  struct stat status {};
  const bool directory =
      ::syscall(SYS_newfstatat, AT_FDCWD, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
  return directory ? rmdir(name) : unlink(name);
}
int unlinkat(int directory, const char* name, int flags) {
  const Path path = path_at(directory, name);
  const Call call("unlink", path, true);
  if (call.fails()) return -1;
  const int result = static_cast<int>(::syscall(SYS_unlinkat, directory, name, flags));
  if (result == 0 && call.counts()) {
    record(flags & AT_REMOVEDIR ? Kind::kRemoveDirectory : Kind::kUnlink, 0, 0, path.text, nullptr, nullptr, 0);
  }
  return result;
}

int mkdir(const char* name, mode_t mode) {
  const Path path = path_at(AT_FDCWD, name);
  const Call call("mkdir", path, true);
  if (call.fails()) return -1;
  const int result = static_cast<int>(::syscall(SYS_mkdir, name, mode));
  if (result == 0 && call.counts()) record(Kind::kMakeDirectory, file_at(name), 0, path.text, nullptr, nullptr, 0);
  return result;
}

int ftruncate(int descriptor, off_t size) {
  const Call call("truncate", path_of(descriptor), true);
  if (call.fails()) return -1;
  const int result = static_cast<int>(::syscall(SYS_ftruncate, descriptor, size));
  if (result == 0 && call.counts()) {
    record(Kind::kTruncate, file_of(descriptor), static_cast<uint64_t>(size), nullptr, nullptr, nullptr, 0);
  }
  return result;
}
int ftruncate64(int descriptor, off64_t size) __attribute__((alias("ftruncate")));

int flock(int descriptor, int operation) {
  const Call call("flock", path_of(descriptor), false);
  return call.fails() ? -1 : static_cast<int>(::syscall(SYS_flock, descriptor, operation));
}

int stat(const char* name, struct stat* status) {
  const Call call("stat", path_at(AT_FDCWD, name), false);
  return call.fails() ? -1 : static_cast<int>(::syscall(SYS_newfstatat, AT_FDCWD, name, status, 0));
}
int stat64(const char* name, struct stat64* status) __attribute__((alias("stat")));
int lstat(const char* name, struct stat* status) {
  const Call call("stat", path_at(AT_FDCWD, name), false);
  return call.fails() ? -1 : static_cast<int>(::syscall(SYS_newfstatat, AT_FDCWD, name, status, AT_SYMLINK_NOFOLLOW));
}
int lstat64(const char* name, struct stat64* status) __attribute__((alias("lstat")));
// What libraries that were built with a glibc before 2.33 call.
int __xstat(int, const char* name, struct stat* status) { return stat(name, status); }
int __xstat64(int, const char* name, struct stat64* status) { return stat64(name, status); }
int __lxstat(int, const char* name, struct stat* status) { return lstat(name, status); }
int __lxstat64(int, const char* name, struct stat64* status) { return lstat64(name, status); }

}  // extern "C"
