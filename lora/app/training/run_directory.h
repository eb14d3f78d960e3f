#pragma once
// The run directory: who may write to it, what is in it, where a run continues.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "lora/checkpoints/metrics_file.h"
#include "lora/checkpoints/run_lock.h"
#include "lora/checkpoints/store.h"
#include "lora/recipe/recipe.h"
#include "lora/training/trainer.h"

namespace lora {

// What is done with the run that a directory already holds.
enum class Start {
  kUnused,   // it is refused
  kResume,   // the run continues from its newest whole checkpoint
  kRestart,  // the earlier run is moved to a folder old-N of the directory, and the run begins anew
};

// StorageError where `path` already holds a run.
void expect_unused(const std::filesystem::path& path);

class RunDirectory {
 public:
  // Locks the directory for this process, and changes nothing else in it. With kResume, damaged checkpoints that are
  // newer than the one to continue from are reported in `warnings`. StorageError where there are checkpoints and none
  // of them can be read.
  RunDirectory(const std::filesystem::path& path, Start start);

  const std::filesystem::path& path() const { return path_; }
  // Where a resumed run continues; none: from the beginning.
  const std::optional<Checkpoint>& resume_from() const { return resume_from_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  CheckpointStore& checkpoints() { return checkpoints_; }

  // Throws RecipeError when the checkpoint was made by a recipe that means another training; names the keys. A change
  // of another key that has a part in training is reported in `warnings`.
  void expect_same_run(const Recipe& recipe);
  // Removes what a killed process left, moves an earlier run aside (kRestart), writes recipe.yaml and opens
  // metrics.jsonl, without the rows after the checkpoint's step.
  void begin(const Recipe& recipe);

  void write_step(const StepMetrics& metrics, double peak_flops);
  // With accuracy and macro-F1 for a classifier, perplexity for a language model.
  void write_evaluation(const Progress& progress, double epoch, const Evaluation& evaluation);
  // An evaluation row that also says how many held-out rows were answered exactly.
  void write_exact_match(int64_t step, double epoch, double loss, int64_t exact, int64_t rows);
  // Metrics so far to the disk, before the checkpoint that relies on them.
  void sync_metrics() { metrics_->sync(); }

 private:
  std::filesystem::path path_;
  Start start_;
  std::unique_ptr<RunLock> lock_;
  CheckpointStore checkpoints_;
  std::optional<Checkpoint> resume_from_;
  std::vector<std::string> warnings_;
  std::unique_ptr<MetricsFile> metrics_;
};

}  // namespace lora
