// Functions of libc that take a descriptor: parts.h says how the library is told what to do.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/faults/interposed/counted_call.h"
#include "tests/faults/interposed/parts.h"

using namespace interposed;

namespace {

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

template <typename Write>
ssize_t written(const char* kind, int descriptor, const Path& path, size_t size, const Write& write) {
  const Call call(kind, path, true);
  if (call.fails()) return -1;
  if (!call.counts()) return write(size);
  const uint64_t offset = records() ? place_in(descriptor) : 0;
  const ssize_t count = write(call.is_short() && size > 1 ? size / 2 : size);
  if (count <= 0 || !records()) return count;
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
  if (!syncs()) return 0;
  record(Kind::kSync, file_of(descriptor), 0, nullptr, nullptr, nullptr, 0);
  return 0;  // nothing in these tests outlives the machine
}

}  // namespace

extern "C" {

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

}  // extern "C"
