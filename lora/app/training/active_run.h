#pragma once
// A training's third stage: its files are open, and it steps.

#include <optional>
#include <string>
#include <vector>

#include "lora/app/training/planned_run.h"
#include "lora/app/training/report.h"
#include "lora/inference/exact_match.h"
#include "lora/report/run_record.h"
#include "lora/training/loop.h"

namespace lora {

// Where the time of the steps went, for --profile.
struct StepProfile {
  WorkTimes times;
  double seconds = 0;
  int64_t steps = 0;  // without the first, which touches every weight for the first time
};

class ActiveRun {
 public:
  // Reads the newest checkpoint, or answers the held-out rows for comparison; then opens the run's files.
  explicit ActiveRun(PlannedRun planned);

  // Tells the display what takes time beside the steps that are to come.
  void expect_work(ProgressDisplay& display) const;
  // One optimizer step with what is due after it. Sets end() where nothing is left to do.
  void step(ProgressDisplay& display);
  // Why the run ended; none: it continues.
  std::optional<LoopEnd> end() const { return end_; }
  // The signal that stopped it, in whichever process it came; 0: none.
  int stopped_by() const { return stop_signal_; }
  // Writes a checkpoint of the current step, unless there is one.
  void save();
  // save(), and an end that was decided outside.
  void stop();

  const PlannedRun& planned() const { return planned_; }
  const std::string& name() const { return planned_.name(); }
  const Recipe& recipe() const { return planned_.recipe(); }
  Trainer& trainer() const { return *planned_.trainer; }
  RunDirectory& directory() const { return *planned_.prepared.directory; }
  // The step of the checkpoint that the run continues from; 0: from the beginning.
  int64_t resumed_step() const { return resumed_step_; }
  // What a person reads about the reference of a preference run; empty: it has none.
  const std::string& reference_report() const { return reference_report_; }

  // What finish() reads.
  const std::vector<Question>& questions() const { return questions_; }  // of validation rows
  const std::optional<Answers>& answers_before() const { return before_; }
  const std::optional<Evaluation>& evaluation() const { return evaluation_; }  // of the weights as they are
  const StepProfile& profile() const { return *profile_; }
  double peak_flops() const { return peak_flops_; }

  // Evaluates the validation data, while a line at the terminal says how far it is.
  Evaluation evaluate() const;
  // Answers the held-out rows, and writes how many are exact to the metrics.
  Answers answer(int64_t step, double epoch);
  // Writes report.html with how the run ended and what was found at its end; either may be null.
  void write_page(const std::string& state, const Answers* after, const Evaluation* classified);
  // The epoch of the last step.
  double epoch() const { return epoch_; }

 private:
  void begin_page(RunRecord record);
  void expect_same_stream() const;
  // Removes the checkpoints that the recipe does not keep.
  void prune();
  Answers generate_answers(const OnPass& on_answer) const;
  void guess_exports(ProgressDisplay& display, double checkpoint_seconds) const;
  void write_answers(const Answers& answers, int64_t step, double epoch);

  PlannedRun planned_;
  std::string reference_report_;
  std::vector<Question> questions_;
  std::optional<Answers> before_;
  std::optional<Evaluation> evaluation_;
  std::unique_ptr<StepProfile> profile_ = std::make_unique<StepProfile>();  // the trainer refers to it
  double peak_flops_ = 0, epoch_ = 0, answer_seconds_ = 0;
  int64_t resumed_step_ = 0, saved_step_ = 0;
  int stop_signal_ = 0;
  std::optional<LoopEnd> end_;
};

// Steps the runs in rotation until each has its end. On a stop signal every run that continues writes a checkpoint. A
// NumericsError of one run is thrown on with its name, after the others have written their checkpoints.
//
// A turn is a whole optimizer step of one adapter. Rows of several adapters in one pass would save nothing: a pass
// takes 512 tokens, where products with the base's weights are bound by arithmetic, not by reading the weights, so
// twice the rows take twice the time. (Measured on a busy core for 576 × 1,536 and 2,048² weights: FLOP/s at 1,024 or
// 2,048 rows no higher than at 512 within the noise, in float32 and bfloat16, except for one reading.)
void train(std::vector<ActiveRun>& runs);

}  // namespace lora
