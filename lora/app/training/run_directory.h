#pragma once
// The run directory: who may write to it, what is in it, where a run continues.

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "lora/app/training/shared_directory.h"
#include "lora/checkpoints/metrics_file.h"
#include "lora/checkpoints/run_lock.h"
#include "lora/checkpoints/store.h"
#include "lora/recipe/recipe.h"
#include "lora/report/event_file.h"
#include "lora/report/live_page.h"
#include "lora/training/trainer.h"
#include "models/base/on_bytes.h"

namespace lora {

// What is done with the run that a directory already holds.
enum class Start {
  kUnused,   // it is refused
  kResume,   // the run continues from its newest whole checkpoint
  kRestart,  // the earlier run is moved to a folder old-N of the directory, and the run begins anew
};

// StorageError where `path` already holds a run.
void expect_unused(const std::filesystem::path& path);

// Of processes that train together, the one of rank 0 writes: the directory is needed on its machine alone. In the
// others every function that writes does nothing, and the checkpoint that the run continues from is a copy of their own.
class RunDirectory {
 public:
  // Locks the directory for this process, and changes nothing else in it. With kResume, damaged checkpoints that are
  // newer than the one to continue from are reported in `warnings`. StorageError where there are checkpoints and none
  // of them can be read. All replicas make theirs at the same time.
  RunDirectory(const std::filesystem::path& path, Start start, Replicas& replicas);

  bool writes() const { return writes_; }

  const std::filesystem::path& path() const { return path_; }
  // Where a resumed run continues; none: from the beginning.
  const std::optional<Checkpoint>& resume_from() const { return resume_from_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  CheckpointStore& checkpoints() { return checkpoints_; }  // to be read where this process writes

  // Throws RecipeError when the checkpoint was made by a recipe that means another training; names the keys. A change
  // of another key that has a part in training is reported in `warnings`.
  void expect_same_run(const Recipe& recipe);
  // Removes what a killed process left, moves an earlier run aside (kRestart), writes recipe.yaml and opens
  // metrics.jsonl, without the rows after the checkpoint's step, report.html and what recipe.logging asks for.
  // A copy of the checkpoint is gone afterwards.
  void begin(const Recipe& recipe);

  // report.html, which follows the metrics. Null before begin() and where this process does not write.
  LivePage* page() { return page_.get(); }

  void write_step(const StepMetrics& metrics, double peak_flops, at::Device device);
  // With accuracy and macro-F1 for a classifier, perplexity for a language model.
  void write_evaluation(const Progress& progress, double epoch, const Evaluation& evaluation);
  // An evaluation row that also says how many held-out rows were answered exactly.
  void write_exact_match(int64_t step, double epoch, double loss, int64_t exact, int64_t rows);
  // See CheckpointStore. The metrics so far, on which a checkpoint relies, go to the disk before it.
  void write_checkpoint(int64_t step, const std::function<void(const std::filesystem::path&)>& fill,
                        const OnBytes& on_bytes);
  void prune(int64_t keep_newest, const std::vector<int64_t>& protected_steps);

 private:
  void find_checkpoint();
  void append(const nlohmann::ordered_json& row);

  std::filesystem::path path_;
  Start start_;
  bool writes_;
  std::unique_ptr<RunLock> lock_;
  std::unique_ptr<SharedDirectory> shared_;  // the directory of resume_from_
  CheckpointStore checkpoints_;
  std::optional<Checkpoint> resume_from_;
  std::vector<std::string> warnings_;
  std::unique_ptr<MetricsFile> metrics_;
  std::unique_ptr<LivePage> page_;
  std::unique_ptr<EventFile> events_;  // null where the recipe does not ask for them
};

}  // namespace lora
