#include "lora/terminal/ticker.h"

#include <csignal>
#include <new>
#include <system_error>
#include <utility>

namespace lora {

Ticker::Ticker(std::chrono::milliseconds every, std::function<void()> tell) : every_(every), tell_(std::move(tell)) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    // The work goes on without.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Ticker::~Ticker() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  end_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Ticker::run() {
  std::unique_lock lock(mutex_);
  while (!end_.wait_for(lock, every_, [&] { return ended_; })) {
    lock.unlock();
    try {
      tell_();
    } catch (const std::bad_alloc&) {
    }
    lock.lock();
  }
}

}  // namespace lora
