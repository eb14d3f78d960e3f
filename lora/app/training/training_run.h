#pragma once
// One training from its recipe to its exports, in stages that lora-train puts in order. Several of them may share a
// base and take turns on it.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lora/adapters/adapter_set.h"
#include "lora/app/data/recipe_data.h"
#include "lora/app/training/report.h"
#include "lora/app/training/run_directory.h"
#include "lora/data/labels.h"
#include "lora/data/tokenizer.h"
#include "lora/export/export.h"
#include "lora/inference/exact_match.h"
#include "lora/recipe/recipe.h"
#include "lora/training/loop.h"
#include "lora/training/memory_plan.h"

namespace lora {

struct RunOptions {
  bool resume = false, dry_run = false, profile = false;
};

// The stages are called once each in the order they stand here, turn() until there is an end. Nothing is written before
// begin(), except the lock. Texts returned are for the person, whole lines without the last line end. Each stage sees
// to it that the adapter is the active one, so that those of several runs may alternate; two runs share nothing that
// they write, which is why each gives the bits that it would give alone.
class TrainingRun {
 public:
  // Locks the run directory, unless it is a dry run, and reads the data.
  TrainingRun(NamedRecipe recipe, const RunOptions& options, const Tokenizer& tokenizer);

  // Puts the adapter into the set, under its name. Where it has no name it is alone and goes into the set's model
  // itself. The set has to outlive this.
  void adapt(AdapterSet& set);
  // What adapt will take its time for; mostly nothing.
  std::string long_work() const;
  DataNeed data_need() const;
  int64_t held_bytes() const;  // by the adapter's weights, gradients and moments
  // `data` and `beside`: of all runs together, and of the others; see memory_plan.h.
  void plan(const DataNeed& data, int64_t beside, int64_t machine_bytes);

  // What is trained, on what, in how much memory.
  std::string report();
  // The first steps' rows as the model will see them.
  std::string preview() const;

  // Takes up the newest checkpoint or answers the held-out rows for comparison, then opens the files. Says where it
  // goes on.
  std::string begin();
  // One step with what is due after it, or an end where there is nothing left to do.
  void turn(ProgressDisplay& display);
  std::optional<LoopEnd> end() const { return end_; }
  // Writes a checkpoint of the present step, unless there is one.
  void save();
  // An end from outside, after save().
  void stop();
  // The best weights where the recipe says so, the answers, the exports; where it was stopped, only a word of that.
  std::string finish();

  // What a person should know of the run directory and of the data.
  std::vector<std::string> warnings() const;
  const std::string& name() const { return name_; }
  const Recipe& recipe() const { return recipe_; }
  const Labels& labels() const { return labels_; }  // of a classifier
  const Trainer& trainer() const { return *trainer_; }

 private:
  ExportSource export_source() const;
  bool starts_fresh() const;
  void enter();
  Answers answer() const;
  void write_answers(const Answers& answers, int64_t step, double epoch);
  std::string profile() const;
  std::string packing_line() const;
  bool streams() const { return data_.stream.samples != nullptr; }
  const LoadedDataset& train() const { return streams() ? data_.stream.samples->window() : data_.train; }
  const CleaningReport& cleaning() const { return streams() ? data_.stream.filters->report() : data_.cleaning; }
  std::string stream_report() const;

  std::string name_;
  Recipe recipe_;
  RunOptions options_;
  const Tokenizer& tokenizer_;
  std::optional<RunDirectory> directory_;
  Labels labels_;
  RecipeData data_;
  AdapterSet* set_ = nullptr;
  AdaptedModel adapted_;
  std::unique_ptr<Trainer> trainer_;
  DataNeed need_;
  MemoryPlan plan_;
  std::vector<Question> questions_;  // of validation rows
  std::optional<Answers> before_;
  std::optional<Evaluation> evaluated_;  // of the weights as they are
  double peak_flops_ = 0, epoch_ = 0;
  int64_t saved_step_ = 0;
  std::optional<LoopEnd> end_;

  WorkTimes times_;
  double profiled_seconds_ = 0;
  int64_t profiled_steps_ = 0;
};

}  // namespace lora
