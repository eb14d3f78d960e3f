#pragma once
// A training's first stage: the recipe is understood, the run directory is locked, the data is read. There is no model
// yet. The stages follow one another, each made from the one before:
//
//   PreparedRun  ->  PlannedRun  ->  ActiveRun  ->  finish()
//   data             adapter         steps         answers, exports
//
// Several runs may share a model, and alternate on it. They share nothing that they write, so each gives the bits that
// it would give alone.

#include <memory>
#include <string>
#include <vector>

#include "lora/app/data/recipe_data.h"
#include "lora/app/training/run_directory.h"
#include "lora/data/labels.h"
#include "lora/data/tokenizer.h"
#include "lora/recipe/recipe.h"

namespace lora {

struct RunOptions {
  Start start = Start::kUnused;
  bool dry_run = false, profile = false;
  std::shared_ptr<Replicas> replicas = std::make_shared<Replicas>();  // that train these runs together
  bool together = false;      // a launcher started more processes than this one, for these runs or for others
  std::string programs = {};  // the folder of the programs as the command line has it: "build/"; empty: PATH
};

// Nothing is written yet but the lock, which is removed if the run does not begin. Move-only. Addresses stay the same.
struct PreparedRun {
  std::string name;  // of one of several adapters; empty: the only one
  Recipe recipe;
  RunOptions options;
  const Tokenizer* tokenizer;                    // borrowed for the whole run
  std::shared_ptr<MadeDirectories> above = {};   // the directory of several adapters' runs
  std::unique_ptr<RunDirectory> directory = {};  // null in a dry run
  std::string base = {};                         // base_record(); empty in a dry run
  Labels labels = {};                            // of a classifier
  std::unique_ptr<RecipeData> data = {};
  std::shared_ptr<const ChatTemplate> chat = {};  // that the training conversations are rendered by; null: none are
  std::vector<std::string> warnings = {};         // about the run directory and the data

  // Whether weights are drawn or computed, rather than read from a checkpoint.
  bool starts_fresh() const { return directory && !directory->resume_from(); }
  bool streams() const { return data->stream.samples != nullptr; }
  // The training data; of a stream the window it is at.
  const LoadedDataset& train() const { return streams() ? data->stream.samples->window() : data->train; }
  const CleaningReport& cleaning() const { return streams() ? data->stream.filters->report() : data->cleaning; }
};

// The runs of a recipe file. RecipeError, DataError or StorageError where one cannot begin; directories are checked for
// an earlier run before the first is locked. Replicas read the data after the one of rank 0, which leaves it in the
// cache; DistributedError where the weights or the rows of one are others.
std::vector<PreparedRun> prepare_runs(const std::vector<NamedRecipe>& recipes, const RunOptions& options,
                                      const Tokenizer& tokenizer);

}  // namespace lora
