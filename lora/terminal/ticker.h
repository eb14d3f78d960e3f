#pragma once
// Something that is done again and again beside the work of a program.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace lora {

// Calls `tell` every so often, from a thread of its own, until it is destroyed. Signals are for the other threads.
// Where the system gives no thread, nothing is called; where it gives no memory, a call is left out.
class Ticker {
 public:
  Ticker(std::chrono::milliseconds every, std::function<void()> tell);
  ~Ticker();  // waits for a call that is under way
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

 private:
  void run();

  const std::chrono::milliseconds every_;
  const std::function<void()> tell_;
  bool ended_ = false;  // under mutex_
  std::mutex mutex_;
  std::condition_variable end_;
  std::thread thread_;
};

}  // namespace lora
