#pragma once
// What a run tells the person at the terminal, as text.

#include <string>
#include <vector>

#include "lora/adapters/adapted_model.h"
#include "lora/data/dataset.h"
#include "lora/inference/exact_match.h"
#include "lora/training/memory_plan.h"
#include "lora/training/trainer.h"

namespace lora {

// One line a kind of module, layers counted together: what was adapted, rank, α, shape and parameters; then the
// trainable share.
std::string adaptation_table(const AdaptedModel& adapted);

// "7,473 samples, 1,204,113 tokens, 901,113 of them trained; 3 cut at max_length, 1 dropped"
std::string dataset_line(const Dataset& dataset);

// "3: high (12), low (1,204), middle (0)": how many samples have each label; over lines of some 100 characters,
// indented as the report's other lines are.
std::string labels_line(const Dataset& dataset, const LabelNames& names);

// Where the time of `steps` steps went, in milliseconds a step, with the rate of what is products beside `peak`
// (FLOP/s).
std::string profile_table(const WorkTimes& times, int64_t steps, double seconds, double peak);

// How many decoder layers are one fused operation, and why the others, or an adapted head, are not.
std::string layers_line(const LlamaForCausalLM& model);

// What a run will hold, by what for, and how its passes will be computed.
std::string memory_line(const MemoryPlan& plan);
std::string passes_line(const MemoryPlan& plan, const TrainingConfig& config);

// Groups and their rates.
std::string groups_table(const std::vector<ParameterGroup>& groups);

// Exact matches, and `show` rows with what was wanted and what was answered. `before` may be null.
std::string answers_report(const std::vector<Question>& questions, const Answers* before, const Answers& after,
                           int64_t show);

// Training as it goes: one line that is redrawn on a terminal, and some twenty plain lines in all elsewhere. Speed and
// the time left are of this process's own steps; tokens are real ones. Where several adapters are trained, steps are
// those of all together and each line says whose it is.
class ProgressDisplay {
 public:
  ProgressDisplay(int64_t first_step, int64_t total_steps);
  ~ProgressDisplay();
  void step(const StepMetrics& metrics, const std::string& adapter = "");
  // After the step shown last.
  void evaluation(const Evaluation& evaluation, bool best, const std::string& adapter = "");
  // A line of its own above the bar.
  void line(const std::string& text);

 private:
  void clear();
  bool terminal_;
  bool drawn_ = false;
  int64_t first_step_, step_, total_steps_;
  double seconds_ = 0, rate_seconds_ = 0;
  double rate_tokens_ = 0;
};

}  // namespace lora
