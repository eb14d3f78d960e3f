#pragma once
// The progress of a long run. On a terminal it is one line that fits it, drawn again at every step; elsewhere some twenty
// lines in all, and one at least every ten seconds.

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "lora/terminal/console.h"

namespace lora {

struct ProgressStep {
  int64_t number;  // among the steps of its own kind, where steps of several kinds take place in turn
  int64_t tokens;  // that it worked on
  double seconds;
  std::string before;                                      // shown in front of the rate: "loss 1.2345"
  std::string after;                                       // shown behind it: "1.2 GB"
  double loss = std::numeric_limits<double>::quiet_NaN();  // of the small curve on a terminal
  std::string detail = "";                                 // behind `before` where there is room: "lr 2.00e-04"
};

// The rate and the remaining time are computed from what this object is told. Not thread-safe.
class ProgressDisplay {
 public:
  // `first_step` steps of `total_steps` are done already.
  ProgressDisplay(int64_t first_step, int64_t total_steps, Console console = lora::console());
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  void step(const ProgressStep& step);
  // A line above the bar: "step 3/10  TEXT", with the number of the last step.
  void note(const std::string& text);
  // A line above the bar.
  void line(const std::string& text);
  // Takes the bar away, for what draws in its place.
  void clear();

  // Work beside the steps, such as evaluations, is still to come so many times more.
  void expect(const std::string& work, int64_t times);
  // It took place once and so many seconds. What it is expected to take is in the remaining time from then on; before, a
  // + behind the time says that something is missing in it.
  void spent(const std::string& work, double seconds);

 private:
  struct Work {
    int64_t expected = 0, done = 0;
    double seconds = 0;
  };

  std::string count() const;
  std::string eta() const;
  std::string fitted(const ProgressStep& step, const std::string& rate) const;

  Console console_;
  bool drawn_ = false;
  int64_t first_step_, step_, total_steps_;
  double seconds_ = 0, rate_seconds_ = 0, rate_tokens_ = 0;
  std::vector<double> losses_;  // at most 512, each of `losses_a_mean_` steps
  int64_t losses_a_mean_ = 1, losses_in_last_ = 0;
  std::map<std::string, Work> work_;
  std::chrono::steady_clock::time_point last_line_ = std::chrono::steady_clock::now();
};

// "0:42"; of more than a day with when that is: "30:05:00 (Tue 14:20)".
std::string as_remaining(double seconds);

}  // namespace lora
