#include "lora/terminal/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "lora/terminal/text.h"

namespace lora {

std::string as_remaining(double seconds) {
  constexpr double kDay = 86'400, kFarAway = 1e9;
  if (seconds < kDay || seconds > kFarAway) return as_duration(seconds);
  const std::time_t then = std::time(nullptr) + static_cast<std::time_t>(seconds);
  std::tm local{};
  ::localtime_r(&then, &local);
  char when[64];
  const char* pattern = seconds < 6 * kDay ? "%a %H:%M" : "%Y-%m-%d";
  return as_duration(seconds) + " (" + std::string(when, std::strftime(when, sizeof when, pattern, &local)) + ")";
}

ProgressDisplay::ProgressDisplay(int64_t first_step, int64_t total_steps, Console console)
    : console_(console), first_step_(first_step), step_(first_step), total_steps_(total_steps) {}

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
  last_line_ = std::chrono::steady_clock::now();
}

void ProgressDisplay::note(const std::string& text) { line("step " + count() + "  " + text); }

void ProgressDisplay::expect(const std::string& work, int64_t times) { work_[work].expected += times; }

void ProgressDisplay::spent(const std::string& work, double seconds) {
  Work& one = work_[work];
  one.expected = std::max<int64_t>(0, one.expected - 1);
  ++one.done;
  one.seconds += seconds;
}

std::string ProgressDisplay::eta() const {
  const int64_t done = step_ - first_step_, left = total_steps_ - step_;
  double seconds = seconds_ / static_cast<double>(done) * static_cast<double>(left);
  bool all_known = true;
  for (const auto& [name, work] : work_) {
    if (work.expected == 0) continue;
    all_known &= work.done > 0;
    if (work.done > 0) seconds += work.seconds / static_cast<double>(work.done) * static_cast<double>(work.expected);
  }
  return "ETA " + as_remaining(seconds) + (all_known ? "" : "+");
}

// What fits the terminal's width, the most telling first.
std::string ProgressDisplay::fitted(const ProgressStep& step, const std::string& rate) const {
  enum Part { kCount, kBar, kCurve, kBefore, kDetail, kRate, kAfter, kEta, kParts };
  std::vector<std::string> parts(kParts);
  const auto room = [&] {
    int used = -2;  // of two spaces between parts
    for (const std::string& part : parts) used += part.empty() ? 0 : static_cast<int>(width_of(part)) + 2;
    return console_.width - 1 - used;  // a full line would wrap
  };
  const auto put = [&](Part part, const std::string& text) {
    if (static_cast<int>(width_of(text)) + 2 <= room()) parts[part] = text;
  };
  put(kCount, count());
  put(kBefore, step.before);
  put(kEta, eta());
  if (losses_.size() > 1 && room() >= 8) put(kCurve, sparkline(losses_, static_cast<size_t>(std::min(room() - 2, 12))));
  put(kRate, rate);
  put(kDetail, step.detail);
  put(kAfter, step.after);
  if (const int width = std::min(room() - 2, 24); width >= 6) {
    const auto full =
        static_cast<int>(static_cast<double>(width) * static_cast<double>(step_) / static_cast<double>(total_steps_));
    for (int i = 0; i < width; ++i) parts[kBar] += i < full ? "█" : "░";
  }
  std::string line;
  for (const std::string& part : parts) line += part.empty() ? "" : (line.empty() ? "" : "  ") + part;
  return line;
}

void ProgressDisplay::step(const ProgressStep& step) {
  // A decaying mean: steady enough to read, quick enough to follow the machine.
  rate_seconds_ = 0.9 * rate_seconds_ + step.seconds;
  rate_tokens_ = 0.9 * rate_tokens_ + static_cast<double>(step.tokens);
  seconds_ += step.seconds;
  const int64_t done = ++step_ - first_step_, left = total_steps_ - step_;
  const std::string rate = with_commas(std::llround(rate_tokens_ / rate_seconds_)) + " tok/s";
  if (!console_.redraws) {
    const int64_t every = std::max<int64_t>(1, total_steps_ / 20);
    const bool silent = std::chrono::steady_clock::now() - last_line_ >= std::chrono::seconds(10);
    // By its own number, so that each of several kinds is shown equally often.
    if (step.number % every != 0 && left != 0 && done != 1 && !silent) return;
    note(step.before + (step.detail.empty() ? "" : "  " + step.detail) + "  " + rate + "  " + step.after + "  " +
         eta());
    return;
  }
  if (std::isfinite(step.loss)) {
    constexpr size_t kMost = 512;
    if (losses_in_last_ == 0 || losses_in_last_ == losses_a_mean_) losses_.push_back(0), losses_in_last_ = 0;
    losses_.back() += (step.loss - losses_.back()) / static_cast<double>(++losses_in_last_);
    if (losses_.size() == kMost && losses_in_last_ == losses_a_mean_) {
      for (size_t i = 0; i < kMost / 2; ++i) losses_[i] = (losses_[2 * i] + losses_[2 * i + 1]) / 2;
      losses_.resize(kMost / 2);
      losses_in_last_ = losses_a_mean_ *= 2;
    }
  }
  clear();
  std::fputs(fitted(step, rate).c_str(), stdout);
  std::fflush(stdout);
  drawn_ = true;
}

}  // namespace lora
