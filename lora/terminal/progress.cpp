#include "lora/terminal/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "lora/terminal/fitted_line.h"
#include "lora/terminal/text.h"

namespace lora {
namespace {

constexpr std::chrono::seconds kSilence(10);  // off a terminal, at most

}  // namespace

ProgressDisplay::ProgressDisplay(int64_t first_step, int64_t total_steps, Console console)
    : console_(console), first_step_(first_step), step_(first_step), total_steps_(total_steps) {
  ticker_ = std::make_unique<Ticker>(std::chrono::milliseconds(500), [this] {
    const std::lock_guard lock(mutex_);
    show_under_way();
  });
}

ProgressDisplay::~ProgressDisplay() {
  ticker_.reset();
  if (drawn_) std::fputs("\n", stdout);
}

void ProgressDisplay::erase() {
  if (drawn_) std::fputs("\r\x1b[K", stdout);
  drawn_ = false;
}

void ProgressDisplay::put_line(const std::string& text) {
  erase();
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
  last_line_ = Clock::now();
}

void ProgressDisplay::clear() {
  const std::lock_guard lock(mutex_);
  erase();
}

void ProgressDisplay::line(const std::string& text) {
  const std::lock_guard lock(mutex_);
  put_line(text);
}

void ProgressDisplay::note(const std::string& text) {
  const std::lock_guard lock(mutex_);
  put_line("step " + count() + "  " + text);
}

void ProgressDisplay::expect(const std::string& work, int64_t times) {
  const std::lock_guard lock(mutex_);
  work_[work].expected += times;
}

void ProgressDisplay::guess(const std::string& work, double seconds) {
  const std::lock_guard lock(mutex_);
  work_[work].guess = seconds;
}

void ProgressDisplay::spent(const std::string& work, double seconds) {
  const std::lock_guard lock(mutex_);
  Work& one = work_[work];
  one.expected = std::max<int64_t>(0, one.expected - 1);
  ++one.done;
  one.seconds += seconds;
}

void ProgressDisplay::pass(int64_t done, int64_t total) {
  const std::lock_guard lock(mutex_);
  if (!under_way_) under_way_ = UnderWay{.begin = Clock::now()};
  under_way_->passes = done;
  under_way_->total = total;
}

std::string ProgressDisplay::count() const { return std::to_string(step_) + "/" + std::to_string(total_steps_); }

std::string ProgressDisplay::eta() const {
  const int64_t done = step_ - first_step_, left = total_steps_ - step_;
  if (done == 0) return "";
  double seconds = seconds_ / static_cast<double>(done) * static_cast<double>(left);
  bool all_known = true;
  for (const auto& [name, work] : work_) {
    if (work.expected == 0) continue;
    all_known &= work.each().has_value();
    seconds += work.each().value_or(0) * static_cast<double>(work.expected);
  }
  return "ETA " + as_remaining(seconds) + (all_known ? "" : "+");
}

std::string ProgressDisplay::rate() const { return with_commas(std::llround(rate_tokens_ / rate_seconds_)) + " tok/s"; }

// "pass 2/8  0:20"
std::string ProgressDisplay::under_way_text() const {
  const double seconds = std::chrono::duration<double>(Clock::now() - under_way_->begin).count();
  const std::string passes = under_way_->total > 1 ? "pass " + std::to_string(under_way_->passes) + "/" +
                                                         std::to_string(under_way_->total) + "  "
                                                   : "";
  return passes + as_duration(seconds);
}

// What fits the terminal's width, the most telling first.
std::string ProgressDisplay::fitted() const {
  enum Place { kCount, kUnderWay, kBar, kCurve, kBefore, kDetail, kRate, kAfter, kEta };
  FittedLine line(console_.width);
  line.put(kCount, count());
  if (last_) line.put(kBefore, last_->before);
  line.put(kEta, eta());
  if (under_way_) line.put(kUnderWay, under_way_text());
  if (losses_.size() > 1 && line.room() >= 6) {
    line.put(kCurve, sparkline(losses_, static_cast<size_t>(std::min(line.room(), 12))));
  }
  if (last_) {
    line.put(kRate, rate());
    line.put(kDetail, last_->detail);
    line.put(kAfter, last_->after);
  }
  line.put_bar(kBar, static_cast<double>(step_) / static_cast<double>(total_steps_));
  return line.text();
}

void ProgressDisplay::draw() {
  erase();
  std::fputs(fitted().c_str(), stdout);
  std::fflush(stdout);
  drawn_ = true;
}

// A step that takes long.
void ProgressDisplay::show_under_way() {
  if (!under_way_) return;
  const auto now = Clock::now();
  if (console_.redraws) {
    if (now - under_way_->begin >= std::chrono::seconds(1)) draw();
  } else if (now - std::max(last_line_, under_way_->begin) >= kSilence) {
    const std::string left = eta();
    put_line("step " + std::to_string(step_ + 1) + "/" + std::to_string(total_steps_) + "  " + under_way_text() +
             (left.empty() ? "" : "  " + left));
  }
}

void ProgressDisplay::add_loss(double loss) {
  if (!std::isfinite(loss)) return;
  constexpr size_t kMost = 512;
  if (losses_in_last_ == 0 || losses_in_last_ == losses_a_mean_) losses_.push_back(0), losses_in_last_ = 0;
  losses_.back() += (loss - losses_.back()) / static_cast<double>(++losses_in_last_);
  if (losses_.size() < kMost || losses_in_last_ < losses_a_mean_) return;
  for (size_t i = 0; i < kMost / 2; ++i) losses_[i] = (losses_[2 * i] + losses_[2 * i + 1]) / 2;
  losses_.resize(kMost / 2);
  losses_in_last_ = losses_a_mean_ *= 2;
}

void ProgressDisplay::step(const ProgressStep& step) {
  const std::lock_guard lock(mutex_);
  under_way_.reset();
  last_ = step;
  // A decaying mean: steady enough to read, quick enough to follow the machine.
  rate_seconds_ = 0.9 * rate_seconds_ + step.seconds;
  rate_tokens_ = 0.9 * rate_tokens_ + static_cast<double>(step.tokens);
  seconds_ += step.seconds;
  const int64_t done = ++step_ - first_step_, left = total_steps_ - step_;
  add_loss(step.loss);
  if (console_.redraws) return draw();
  const int64_t every = std::max<int64_t>(1, total_steps_ / 20);
  // Another step like it would make the silence too long.
  const bool silent = Clock::now() - last_line_ + std::chrono::duration<double>(step.seconds) >= kSilence;
  // By its own number, so that each of several kinds is shown equally often.
  if (step.number % every != 0 && left != 0 && done != 1 && !silent) return;
  put_line("step " + count() + "  " + step.before + (step.detail.empty() ? "" : "  " + step.detail) + "  " + rate() +
           "  " + step.after + "  " + eta());
}

}  // namespace lora
