#pragma once
// The progress of a long run. On a terminal it is one line that fits it, drawn again at every step, in which what is
// once shown keeps its place; elsewhere some twenty lines in all, and one at least every ten seconds. While a Busy
// exists, that is shown.

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lora/terminal/console.h"
#include "lora/terminal/ticker.h"

namespace lora {

struct ProgressStep {
  int64_t number;  // among the steps of its own kind, where steps of several kinds take place in turn
  int64_t tokens;  // that it worked on
  double seconds;
  std::string before;                                      // shown in front of the rate: "loss 1.2345"
  std::string after;                                       // shown behind it: "1.2 GB"
  double loss = std::numeric_limits<double>::quiet_NaN();  // of the small curve on a terminal
  std::string detail = "";                                 // behind `before` where there is room: "lr 2.00e-04"
  std::string note = "";                                   // of this step alone, behind `detail`: "skipped: not finite"
};

// The rate and the remaining time are computed from what this object is told, by one thread.
class ProgressDisplay {
 public:
  // `first_step` steps of `total_steps` are done already.
  ProgressDisplay(int64_t first_step, int64_t total_steps, Console console = lora::console());
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  // So many passes of the next step are computed. A step that takes long is shown with its passes and its time.
  void pass(int64_t done, int64_t total);
  void step(const ProgressStep& step);
  // A line above the bar: "step 3/10  TEXT", with the number of the last step.
  void note(const std::string& text);
  // A line above the bar.
  void line(const std::string& text);

  // Work beside the steps, such as evaluations, is still to come so many times more.
  void expect(const std::string& work, int64_t times);
  // What it probably takes each time, until it has taken place.
  void guess(const std::string& work, double seconds);
  // It took place once and so many seconds. What it is expected to take is in the remaining time from then on; before, a
  // + behind the time says that something is missing in it, unless there is a guess.
  void spent(const std::string& work, double seconds);

 private:
  using Clock = std::chrono::steady_clock;

  struct Work {
    int64_t expected = 0, done = 0;
    double seconds = 0;
    std::optional<double> guess = {};
    // What it takes each time.
    std::optional<double> each() const { return done > 0 ? seconds / static_cast<double>(done) : guess; }
  };
  // The step that is being computed.
  struct UnderWay {
    Clock::time_point begin;
    int64_t passes = 0, total = 0;
  };

  // All of these under mutex_.
  void show_under_way();
  void put_line(const std::string& text);
  void draw_line();
  std::string count(int64_t step) const;
  std::string eta() const;
  std::string rate() const;
  std::string fitted();
  std::string under_way_text() const;
  void add_loss(double loss);

  Console console_;
  std::mutex mutex_;  // of all below
  int64_t first_step_, step_, total_steps_;
  std::optional<ProgressStep> last_;
  UnderWay under_way_ = {.begin = Clock::now()};
  std::map<int, size_t> columns_;  // of what is shown, by place: those of its longest text so far
  double seconds_ = 0, rate_seconds_ = 0, rate_tokens_ = 0;
  std::vector<double> losses_;  // at most 512, each of `losses_a_mean_` steps
  int64_t losses_a_mean_ = 1, losses_in_last_ = 0;
  std::map<std::string, Work> work_;
  std::unique_ptr<Ticker> ticker_;
};

}  // namespace lora
