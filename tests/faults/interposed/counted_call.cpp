// What is counted, and what happens then.

#include "tests/faults/interposed/counted_call.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>

#include "tests/faults/interposed/parts.h"

namespace interposed {
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

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

}  // namespace

void begin_files() {
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

Call::Call(const char* kind, const Path& path, bool change) : counts_(path.counts) {
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

Call::~Call() {
  if (here_ && settings.fault == Fault::kKillAfter) die();
}

bool Call::fails() const {
  if (fails_) errno = settings.error;
  return fails_;
}

bool Call::is_short() const { return here_ && settings.fault == Fault::kShort; }

bool records() { return settings.record >= 0; }

bool syncs() { return !settings.no_sync; }

void record(Kind kind, uint64_t file, uint64_t offset, const char* path, const char* other, const void* data,
            size_t size) {
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

uint64_t file_of(int descriptor) {
  struct stat status {};
  return ::syscall(SYS_newfstatat, descriptor, "", &status, AT_EMPTY_PATH) == 0 ? status.st_ino : 0;
}

uint64_t file_at(const char* path) {
  struct stat status {};
  return ::syscall(SYS_newfstatat, AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_ino : 0;
}

}  // namespace interposed
