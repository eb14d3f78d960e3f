#include "models/base/thread_count.h"

#include <pthread.h>
#include <sys/mman.h>

#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "models/base/error.h"

namespace lora {
namespace {

// Whether the process may map so much more memory (ulimit -v).
bool has_room(size_t bytes) {
  void* room = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return false;
  ::munmap(room, bytes);
  return true;
}

}  // namespace

void expect_threads(int64_t count) {
  pthread_attr_t attributes;
  size_t stack = 0;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_getstacksize(&attributes, &stack);
  ::pthread_attr_destroy(&attributes);
  std::vector<std::thread> threads;
  std::mutex all_started;
  std::optional<std::string> reason;
  // Twice: the system keeps the stacks of the threads that are tried here.
  if (count > 1 && !has_room(2 * static_cast<size_t>(count) * stack)) reason = "no memory for their stacks";
  if (!reason) {
    const std::lock_guard hold(all_started);
    try {
      while (std::ssize(threads) < count - 1) threads.emplace_back([&] { const std::lock_guard wait(all_started); });
    } catch (const std::system_error& error) {
      reason = error.code().message();
    }
  }
  for (std::thread& thread : threads) thread.join();
  if (!reason) return;
  throw Error(ExitCode::kModel, "memory",
              "cannot start " + std::to_string(count) + " threads: " + *reason +
                  "; training.threads: 1 needs less, or raise ulimit -v and -u");
}

}  // namespace lora
