#include "tests/faults/killed_process.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>
#include <thread>

namespace lora::test {
namespace {

constexpr int kNotTraced = 77;
constexpr int kThrew = 78;

// The child never returns: no test framework, no destructor and no leak checker runs twice.
pid_t start_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child > 0) return child;
  try {
    work();
  } catch (...) {
    ::_exit(kThrew);
  }
  ::_exit(0);
}

int wait_for(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) throw std::runtime_error("cannot wait for the child");
  if (WIFEXITED(status) && WEXITSTATUS(status) == kThrew) throw std::runtime_error("the child's work threw");
  return status;
}

enum class Ending { kKilled, kFinished, kUntraceable };

Ending run_killed_before(int system_call, const std::function<void()>& work) {
  const pid_t child = start_child([&] {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(kNotTraced);
    ::raise(SIGSTOP);
    work();
  });
  int status = wait_for(child);
  if (WIFEXITED(status)) return Ending::kUntraceable;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
  // Each system call stops twice, on entry and on return; killed on entry, it is not carried out.
  for (int stops = 0; stops < 2 * system_call - 1;) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    status = wait_for(child);
    if (!WIFSTOPPED(status)) return Ending::kFinished;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) ++stops;
  }
  ::kill(child, SIGKILL);
  wait_for(child);
  return Ending::kKilled;
}

}  // namespace

SharedNumber::SharedNumber() {
  void* address = ::mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) throw std::runtime_error("cannot share memory");
  value_ = static_cast<volatile int64_t*>(address);
}

SharedNumber::~SharedNumber() { ::munmap(const_cast<int64_t*>(value_), sizeof(int64_t)); }

int kill_before_every_system_call(const std::function<void()>& prepare, const std::function<void()>& work,
                                  const std::function<void(bool)>& check) {
  SharedNumber returned;
  const auto traced = [&] {
    work();
    returned.value() = 1;
  };
  for (int kills = 0;; ++kills) {
    prepare();
    returned.value() = 0;
    const Ending outcome = run_killed_before(kills + 1, traced);
    if (outcome == Ending::kUntraceable) {
      std::puts("SKIPPED: this system lets no process trace another, so none is killed at its system calls");
      return 0;
    }
    check(returned.value() == 1);
    if (outcome == Ending::kFinished) return kills;
  }
}

void kill_after(std::chrono::microseconds delay, const std::function<void()>& work) {
  const pid_t child = start_child(work);
  std::this_thread::sleep_for(delay);
  ::kill(child, SIGKILL);
  wait_for(child);
}

}  // namespace lora::test
