#include "lora/terminal/busy.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <utility>

#include "lora/terminal/fitted_line.h"
#include "lora/terminal/output.h"
#include "lora/terminal/text.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

// A terminal has room for one: the last that was made.
std::atomic<Busy*> innermost{nullptr};

}  // namespace

Busy::Busy(std::string title, Console console)
    : console_(console), outer_(innermost.exchange(this)), title_(std::move(title)) {
  std::fflush(stdout);
  if (!console_.redraws) show();
  ticker_ = std::make_unique<Ticker>(kGlance, [this] { show(); });
}

Busy::~Busy() {
  ticker_.reset();
  innermost = outer_;
  if (drawn_) erase_drawn();
}

bool Busy::any() { return innermost != nullptr; }

void Busy::tell(int64_t done, int64_t total, const std::string& counted) {
  if (Busy* const shown = innermost) shown->at(done, total, counted);
}

void Busy::at(int64_t done, int64_t total, const std::string& counted) {
  const std::lock_guard lock(mutex_);
  if (total_ == 0) counted_since_ = Clock::now();
  done_ = done;
  total_ = total;
  counted_ = counted;
}

void Busy::at_bytes(int64_t done, int64_t total) { at(done, total, as_bytes(done) + " of " + as_bytes(total)); }

void Busy::next(const std::string& title) {
  const std::lock_guard lock(mutex_);
  title_ = title;
  counted_.clear();
  done_ = total_ = 0;
  begin_ = Clock::now();
}

void Busy::show() {
  if (innermost != this || (!console_.redraws && !is_silence_long())) return;
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  const auto seconds_since = [&](Clock::time_point start) {
    return std::chrono::duration<double>(now - start).count();
  };
  const double share = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 0;
  std::string counted = counted_;
  if (counted.empty() && total_ > 0) counted = with_commas(done_) + "/" + with_commas(total_);
  const std::string time = as_duration(seconds_since(begin_));
  const std::string left =
      share > 0 && share < 1 ? "ETA " + as_remaining(seconds_since(counted_since_) * (1 - share) / share) : "";
  if (console_.redraws) {
    FittedLine line(console_.width);
    const int title = line.room() - static_cast<int>(width_of(counted)) - 2;
    line.put(0, one_line(title_, as_size(std::max(title, 8) - 1)));
    line.put(1, counted);
    line.put(4, left);
    line.put(3, time);
    if (total_ > 0) line.put_bar(2, share);
    draw(line.text(), console_.file);
    drawn_ = true;
  } else {
    std::string line = title_;
    for (const std::string& part : {counted, time, left}) line += part.empty() ? "" : "  " + part;
    say(line + "\n", console_.file);
  }
}

}  // namespace lora
