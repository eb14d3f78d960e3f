#include "lora/terminal/progress.h"

#include <algorithm>
#include <cmath>

#include "lora/terminal/busy.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/fitted_line.h"
#include "lora/terminal/output.h"
#include "lora/terminal/text.h"

namespace lora {

ProgressDisplay::ProgressDisplay(int64_t first_step, int64_t total_steps, Console console)
    : console_(console), first_step_(first_step), step_(first_step), total_steps_(total_steps) {
  ticker_ = std::make_unique<Ticker>(kGlance, [this] {
    const std::lock_guard lock(mutex_);
    show_under_way();
  });
}

ProgressDisplay::~ProgressDisplay() {
  ticker_.reset();
  keep_drawn();
}

void ProgressDisplay::put_line(const std::string& text) { say(text + "\n"); }

void ProgressDisplay::line(const std::string& text) {
  const std::lock_guard lock(mutex_);
  put_line(text);
}

void ProgressDisplay::note(const std::string& text) {
  const std::lock_guard lock(mutex_);
  say(sentence("step " + count(step_) + "  " + text, console_));
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
  under_way_.begin = Clock::now();
}

void ProgressDisplay::pass(int64_t done, int64_t total) {
  const std::lock_guard lock(mutex_);
  if (done == 0) under_way_.begin = Clock::now();
  under_way_.passes = done;
  under_way_.total = total;
}

std::string ProgressDisplay::count(int64_t step) const { return with_commas(step) + "/" + with_commas(total_steps_); }

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
  const double seconds = std::chrono::duration<double>(Clock::now() - under_way_.begin).count();
  const std::string passes =
      under_way_.total > 1 ? "pass " + std::to_string(under_way_.passes) + "/" + std::to_string(under_way_.total) + "  "
                           : "";
  return passes + as_duration(seconds);
}

// What fits the terminal's width, the most telling first. What has a place already comes before what has none, in as
// many columns as it ever took, so that nothing moves or goes.
std::string ProgressDisplay::fitted() {
  enum Place { kCount, kUnderWay, kBar, kCurve, kBefore, kDetail, kNote, kRate, kAfter, kEta };
  FittedLine line(console_.width);
  constexpr int kNarrow = 40;  // no room for what is to come
  if (console_.width >= kNarrow) columns_.try_emplace(kCount, width_of(count(total_steps_)));
  const bool is_long = Clock::now() - under_way_.begin >= std::chrono::seconds(1);
  std::vector<std::pair<Place, std::string>> parts = {{kCount, count(step_)}};
  const auto add = [&](Place place, const std::string& text) {
    if (!text.empty() || columns_.contains(place)) parts.emplace_back(place, text);
  };
  add(kBefore, last_ ? last_->before : "");
  add(kEta, eta());
  add(kUnderWay, is_long || columns_.contains(kUnderWay) ? under_way_text() : "");
  if (!losses_.empty()) parts.emplace_back(kCurve, "");
  add(kRate, last_ ? rate() : "");
  add(kDetail, last_ ? last_->detail : "");
  add(kAfter, last_ ? last_->after : "");
  for (const bool has_place : {true, false}) {
    for (auto& [place, text] : parts) {
      if (columns_.contains(place) != has_place) continue;
      size_t& columns = columns_[place];
      if (place == kCurve) {
        constexpr int kLeast = 4, kMost = 10;
        if (columns == 0 && line.room() >= kLeast) columns = static_cast<size_t>(std::min(line.room(), kMost));
        text = sparkline(losses_, columns);
      }
      columns = std::max(columns, width_of(text));
      if (columns == 0 || !line.put(place, text, columns)) columns_.erase(place);
    }
  }
  // Of one step alone: it gets no place.
  if (last_) line.put(kNote, last_->note);
  line.put_bar(kBar, static_cast<double>(step_) / static_cast<double>(total_steps_));
  return line.text();
}

void ProgressDisplay::draw_line() { draw(fitted(), console_.file); }

// A step that takes long.
void ProgressDisplay::show_under_way() {
  if (step_ >= total_steps_ || Busy::any()) return;
  if (console_.redraws) {
    if (Clock::now() - under_way_.begin >= std::chrono::seconds(1)) draw_line();
  } else if (is_silence_long()) {
    const std::string left = eta();
    put_line("step " + count(step_ + 1) + "  " + under_way_text() + (left.empty() ? "" : "  " + left));
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
  under_way_ = {.begin = Clock::now(), .total = under_way_.total};
  last_ = step;
  // A decaying mean: steady enough to read, quick enough to follow the machine.
  rate_seconds_ = 0.9 * rate_seconds_ + step.seconds;
  rate_tokens_ = 0.9 * rate_tokens_ + static_cast<double>(step.tokens);
  seconds_ += step.seconds;
  const int64_t done = ++step_ - first_step_, left = total_steps_ - step_;
  add_loss(step.loss);
  if (console_.redraws) return draw_line();
  const int64_t every = std::max<int64_t>(1, total_steps_ / 20);
  // Another step like it would make the silence too long.
  const bool silent = silence() + std::chrono::duration<double>(step.seconds) >= kSilence;
  // By its own number, so that each of several kinds is shown equally often.
  if (step.number % every != 0 && left != 0 && done != 1 && !silent) return;
  std::string line = "step " + count(step_);
  for (const std::string& part : {step.before, step.detail, step.note, rate(), step.after, eta()}) {
    line += part.empty() ? "" : "  " + part;
  }
  put_line(line);
}

}  // namespace lora
