// The part of the library that takes the place of malloc and its like, and has one of them fail.

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "tests/faults/interposed/parts.h"

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}

namespace {

long failing = 0;  // 0: none
int stack = -1;
char count_file[PATH_MAX] = "";
std::atomic<long> allocations{0};

bool allocation_fails() {
  if (failing == 0 || ++allocations != failing) return false;
  void* frames[60];
  if (stack >= 0) ::backtrace_symbols_fd(frames, ::backtrace(frames, 60), stack);
  return true;
}
void count_allocation() {
  if (*count_file) ++allocations;
}

__attribute__((destructor)) void end() {
  if (!*count_file) return;
  char text[32];
  const int length = ::snprintf(text, sizeof(text), "%ld\n", allocations.load());
  const long file = ::syscall(SYS_openat, AT_FDCWD, count_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::syscall(SYS_write, file, text, length);
  ::syscall(SYS_close, file);
}

}  // namespace

void interposed::begin_memory() {
  failing = 0;
  allocations = 0;
  stack = open_for_append("LORA_FAULT_STACK");
  void* frame = nullptr;
  if (stack >= 0) ::backtrace(&frame, 1);  // takes memory the first time
  const char* file = ::getenv("LORA_FAULT_ALLOCATIONS");
  ::snprintf(count_file, sizeof(count_file), "%s", file ? file : "");
  failing = number("LORA_FAULT_ALLOCATION");
}

extern "C" {

void* malloc(size_t size) {
  count_allocation();
  if (allocation_fails()) return errno = ENOMEM, nullptr;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  count_allocation();
  if (allocation_fails()) return errno = ENOMEM, nullptr;
  return __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  count_allocation();
  if (allocation_fails()) return errno = ENOMEM, nullptr;
  return __libc_realloc(old, size);
}
int posix_memalign(void** to, size_t alignment, size_t size) {
  count_allocation();
  if (allocation_fails()) return ENOMEM;
  *to = __libc_memalign(alignment, size);
  return *to ? 0 : ENOMEM;
}
void* aligned_alloc(size_t alignment, size_t size) {
  count_allocation();
  if (allocation_fails()) return errno = ENOMEM, nullptr;
  return __libc_memalign(alignment, size);
}
void* memalign(size_t alignment, size_t size) { return aligned_alloc(alignment, size); }

}  // extern "C"
