#include "lora/terminal/busy.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <system_error>

#include "lora/terminal/text.h"

namespace lora {

Busy::Busy(std::string title, Console console) : title_(std::move(title)), console_(console) {
  std::fflush(stdout);
  // Signals are for the thread that works.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const auto tell = [this] {
    const auto begin = std::chrono::steady_clock::now();
    const auto every = console_.redraws ? std::chrono::milliseconds(500) : std::chrono::milliseconds(10'000);
    std::unique_lock lock(mutex_);
    while (!end_.wait_for(lock, every, [&] { return ended_; })) {
      show(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
  };
  try {
    thread_ = std::thread(tell);
  } catch (const std::system_error&) {
    // A system that gives no more threads: the work goes on without a line.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Busy::~Busy() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  end_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stdout);
  std::fflush(stdout);
}

void Busy::show(double seconds) {
  const int64_t done = done_, total = total_;
  std::string line = title_;
  if (total > 0) line += "  " + with_commas(done) + "/" + with_commas(total);
  line += "  " + as_duration(seconds);
  if (console_.redraws) {
    std::fputs(("\r\x1b[K" + one_line(line, static_cast<size_t>(console_.width - 2))).c_str(), stdout);
    drawn_ = true;
  } else {
    std::fputs((line + "\n").c_str(), stdout);
  }
  std::fflush(stdout);
}

}  // namespace lora
