#pragma once
// The progress of a long run. On a terminal it is one line, drawn again at every step; elsewhere some twenty lines in
// all.

#include <cstdint>
#include <string>

namespace lora {

struct ProgressStep {
  int64_t number;  // among the steps of its own kind, where steps of several kinds take place in turn
  int64_t tokens;  // that it worked on
  double seconds;
  std::string before;  // shown in front of the rate: "loss 1.2345  lr 2.00e-04"
  std::string after;   // shown behind it: "1.2 GB"
};

// The rate and the remaining time are computed from the steps that this object is given. Not thread-safe.
class ProgressDisplay {
 public:
  // `first_step` steps of `total_steps` are done already. `redraws`: false where standard output may look like a terminal
  // and is none, as mpirun's does.
  ProgressDisplay(int64_t first_step, int64_t total_steps, bool redraws = true);
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  void step(const ProgressStep& step);
  // A line above the bar: "step 3/10  TEXT", with the number of the last step.
  void note(const std::string& text);
  // A line above the bar.
  void line(const std::string& text);

 private:
  void clear();
  std::string count() const;

  bool terminal_;
  bool drawn_ = false;
  int64_t first_step_, step_, total_steps_;
  double seconds_ = 0, rate_seconds_ = 0, rate_tokens_ = 0;
};

}  // namespace lora
