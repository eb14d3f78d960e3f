// Functions of libc that take a path: parts.h says how the library is told what to do.

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/faults/interposed/counted_call.h"
#include "tests/faults/interposed/parts.h"

using namespace interposed;

namespace {

// Opens as `make` does, counted.
template <typename Make>
int opened(const Path& path, int flags, const Make& make) {
  const bool change = (flags & (O_CREAT | O_TRUNC)) != 0;
  const Call call("open", path, change);
  if (call.fails()) return -1;
  const bool fresh = call.counts() && records() && file_at(path.text) == 0;
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
