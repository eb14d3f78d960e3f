#pragma once
// Says that a program is at work where nothing else would be said for a while.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "lora/terminal/console.h"

namespace lora {

// While it exists: on a terminal a line "TITLE  12/40  0:07" that is drawn again, from the first half second on, and is
// gone at the end; elsewhere a line like it every ten seconds. Meanwhile nobody else writes to standard output.
class Busy {
 public:
  explicit Busy(std::string title, Console console = lora::console());
  ~Busy();
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

  // So much of it is done. From any thread.
  void at(int64_t done, int64_t total) {
    total_ = total;
    done_ = done;
  }

 private:
  void show(double seconds);

  std::string title_;
  Console console_;
  std::atomic<int64_t> done_{0}, total_{0};
  bool drawn_ = false, ended_ = false;  // the second under mutex_
  std::mutex mutex_;
  std::condition_variable end_;
  std::thread thread_;
};

}  // namespace lora
