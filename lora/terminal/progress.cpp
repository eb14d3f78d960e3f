#include "lora/terminal/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "lora/terminal/text.h"

namespace lora {
namespace {

int terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

ProgressDisplay::ProgressDisplay(int64_t first_step, int64_t total_steps, bool redraws)
    : terminal_(redraws && isatty(STDOUT_FILENO) != 0),
      first_step_(first_step),
      step_(first_step),
      total_steps_(total_steps) {}

ProgressDisplay::~ProgressDisplay() {
  if (drawn_) std::fputs("\n", stdout);
}

void ProgressDisplay::clear() {
  if (drawn_) std::fputs("\r\x1b[K", stdout);
  drawn_ = false;
}

std::string ProgressDisplay::count() const { return std::to_string(step_) + "/" + std::to_string(total_steps_); }

void ProgressDisplay::line(const std::string& text) {
  clear();
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

void ProgressDisplay::note(const std::string& text) { line("step " + count() + "  " + text); }

void ProgressDisplay::step(const ProgressStep& step) {
  // A decaying mean: steady enough to read, quick enough to follow the machine.
  rate_seconds_ = 0.9 * rate_seconds_ + step.seconds;
  rate_tokens_ = 0.9 * rate_tokens_ + static_cast<double>(step.tokens);
  seconds_ += step.seconds;
  const int64_t done = ++step_ - first_step_, left = total_steps_ - step_;
  const double eta = seconds_ / static_cast<double>(done) * static_cast<double>(left);
  const std::string numbers = step.before + "  " + with_commas(std::llround(rate_tokens_ / rate_seconds_)) +
                              " tok/s  " + step.after + "  ETA " + as_duration(eta);
  if (!terminal_) {
    const int64_t every = std::max<int64_t>(1, total_steps_ / 20);
    // By its own number, so that each of several kinds is shown equally often.
    if (step.number % every == 0 || left == 0 || done == 1) note(numbers);
    return;
  }
  const int space = terminal_width() - static_cast<int>(count().size() + numbers.size()) - 6;
  const int width = std::clamp(space, 0, 30);
  const auto full =
      static_cast<int>(static_cast<double>(width) * static_cast<double>(step_) / static_cast<double>(total_steps_));
  std::string bar;
  for (int i = 0; i < width; ++i) bar += i < full ? "█" : "░";
  clear();
  std::fputs((count() + " " + bar + "  " + numbers).c_str(), stdout);
  std::fflush(stdout);
  drawn_ = true;
}

}  // namespace lora
