// The part of the library that begins: where a program is loaded, and where it waits for what it is to run.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/interposed/parts.h"

long interposed::number(const char* name) {
  const char* text = ::getenv(name);
  return text ? ::strtol(text, nullptr, 10) : 0;
}

int interposed::open_for_append(const char* name) {
  const char* path = ::getenv(name);
  if (!path) return -1;
  const long file = ::syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) return -1;
  return static_cast<int>(::syscall(SYS_fcntl, file, F_DUPFD_CLOEXEC, 900));  // out of the program's way
}

static void begin() {
  interposed::begin_files();
  interposed::begin_memory();
  interposed::begin_clock();
}

__attribute__((constructor)) static void start() { begin(); }

extern "C" {

// With LORA_FAULT_SERVE, the program is loaded once and runs many times: each line on stdin is a run. Its fields,
// separated by tabs: a file for its stdout, one for its stderr, NAME=VALUE of its environment (any number), "--", and
// its arguments. The process is forked from this one where main would begin. Two lines on stdout answer: its process
// id, and when it has ended, its status as waitpid has it. A run that hangs ends by SIGALRM.
static constexpr unsigned kMostSeconds = 120;
using Main = int (*)(int, char**, char**);
static Main program_main;

static int serve(int argc, char** argv, char** environment) {
  char* line = nullptr;
  size_t room = 0;
  for (ssize_t length; (length = ::getline(&line, &room, stdin)) > 0;) {
    if (line[length - 1] == '\n') line[length - 1] = 0;
    const pid_t child = ::fork();
    if (child == 0) {
      char* rest = line;
      const char* out = ::strsep(&rest, "\t");
      const char* err = ::strsep(&rest, "\t");
      ::unsetenv("LORA_FAULT_SERVE");
      char* field = nullptr;
      while ((field = ::strsep(&rest, "\t")) && ::strcmp(field, "--") != 0) ::putenv(field);
      static char* arguments[256];
      int count = 0;
      arguments[count++] = argv[0];
      while (rest && count < 255) arguments[count++] = ::strsep(&rest, "\t");
      if (!::freopen("/dev/null", "r", stdin) || !::freopen(out, "w", stdout) || !::freopen(err, "w", stderr)) {
        ::_exit(126);
      }
      ::alarm(kMostSeconds);
      begin();
      ::exit(program_main(count, arguments, environ));
    }
    ::printf("%d\n", child);
    ::fflush(stdout);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    ::printf("%d\n", status);
    ::fflush(stdout);
  }
  (void)argc, (void)environment;
  return 0;
}

int __libc_start_main(Main main, int argc, char** argv, void (*init)(), void (*fini)(), void (*rtld_fini)(),
                      void* stack_end) {
  using Start = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);
  const auto next = reinterpret_cast<Start>(::dlsym(RTLD_NEXT, "__libc_start_main"));
  program_main = main;
  return next(interposed::number("LORA_FAULT_SERVE") ? serve : main, argc, argv, init, fini, rtld_fini, stack_end);
}

}  // extern "C"
