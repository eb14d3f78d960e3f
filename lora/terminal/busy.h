#pragma once
// Says that a program is at work where nothing else would be said for a while.

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "lora/terminal/console.h"
#include "lora/terminal/ticker.h"

namespace lora {

// While it exists: on a terminal a line "TITLE  12/40  ████░░░░  0:07  ETA 0:16" that is drawn again, from the first
// half second on, and is gone at the end; elsewhere a line like it, without the bar, wherever nothing was said for ten
// seconds. Where another begins meanwhile, that one is shown until it ends. Made and destroyed by one thread, in turn.
class Busy {
 public:
  explicit Busy(std::string title, Console console = lora::console());
  ~Busy();
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

  // Whether one exists. From any thread.
  static bool any();
  // at() of the one that is shown, if one is: for work that does not know who waits for it. By the thread that made it.
  static void tell(int64_t done, int64_t total, const std::string& counted = "");

  // So much of it is done, which a person reads as `counted`; empty: as "12/40". Before the first call, and with a
  // total of 0, there is no bar. From any thread.
  void at(int64_t done, int64_t total, const std::string& counted = "");
  // The same of bytes, which are read as "1.2 GB of 4.0 GB".
  void at_bytes(int64_t done, int64_t total);
  // What is done from now on is something else, with a time and a count of its own. From any thread.
  void next(const std::string& title);

 private:
  using Clock = std::chrono::steady_clock;

  void show();

  const Console console_;
  Busy* const outer_;
  std::mutex mutex_;  // of all below
  std::string title_, counted_;
  int64_t done_ = 0, total_ = 0;
  Clock::time_point begin_ = Clock::now(), counted_since_ = begin_;
  bool drawn_ = false;
  std::unique_ptr<Ticker> ticker_;
};

}  // namespace lora
