#pragma once
// The threads behind parallel_for and share_out (threads.h, which says how they behave).

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace lora {

class ThreadPool {
 public:
  using Work = std::function<void(int64_t piece, int64_t thread)>;

  // The process's pool. It is never destroyed: its threads sleep until the process ends.
  static ThreadPool& shared();

  // Calls work(piece, thread) for every piece on at most `threads` threads, the caller as thread 0. Starts threads that
  // do not exist yet; throws std::system_error where the system has none.
  void run(int64_t pieces, int64_t threads, const Work& work);

 private:
  // The round that a worker was last called to. It sleeps until that changes.
  struct Worker {
    std::atomic<uint32_t> round{0};
  };

  ThreadPool() = default;
  void start_until(int64_t workers);
  void work_as(int64_t thread, Worker& worker);
  void take_pieces(int64_t thread, uint64_t round);
  void wait_for_pieces();
  void note_wait(std::chrono::nanoseconds wait);
  int64_t workers_now(int64_t threads);

  std::mutex busy_;  // held by the caller of run()
  std::vector<std::unique_ptr<Worker>> workers_;

  // Round, number of pieces and next piece in one word: a thread that comes late takes no piece of another round.
  std::atomic<uint64_t> next_{0};
  std::atomic<int32_t> left_{0};  // pieces that are not done
  const Work* work_ = nullptr;
  std::mutex problem_mutex_;
  std::exception_ptr problem_;
  std::atomic<bool> failed_{false};

  // What workers tell of a round.
  std::atomic<int64_t> worked_{0};      // nanoseconds on a core
  std::atomic<bool> lost_core_{false};  // one lost its core in the middle of a piece

  // How many workers may work, and until when. Only the caller reads and writes these.
  std::chrono::nanoseconds credit_{0};  // how much longer workers worked than all waited for those without a core
  int64_t missing_ = 0;                 // workers left out
  std::chrono::steady_clock::time_point try_again_{};
  std::chrono::milliseconds pause_{0};
};

}  // namespace lora
