#include "lora/app/training/run_directory.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "lora/app/training/machine.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

bool holds_run(const fs::path& path) {
  return fs::exists(path / "recipe.yaml") || fs::exists(path / "metrics.jsonl") || fs::exists(path / "checkpoints");
}

}  // namespace

void expect_unused(const fs::path& path) {
  if (!holds_run(path)) return;
  throw StorageError(
      path.string() +
      ": already holds a run; expected an unused output_dir. Add --resume to go on from its newest checkpoint");
}

RunDirectory::RunDirectory(const fs::path& path, bool resume) : path_(path), checkpoints_(path) {
  if (!resume) expect_unused(path);
  lock_ = std::make_unique<RunLock>(path);
  if (!resume) return;
  const NewestCheckpoint newest = checkpoints_.newest_whole();
  for (const SkippedCheckpoint& skipped : newest.skipped) {
    warnings_.push_back(skipped.directory.string() + " is damaged and passed over: " + skipped.reason);
  }
  resume_from_ = newest.checkpoint;
}

void RunDirectory::expect_same_run(const Recipe& recipe) const {
  if (!resume_from_) return;
  const fs::path file = resume_from_->directory / "recipe.yaml";
  const std::vector<std::string> keys = differing_keys(load_recipe(file), recipe);
  if (keys.empty()) return;
  std::string list;
  for (const std::string& key : keys) list += (list.empty() ? "" : ", ") + key;
  throw RecipeError("the checkpoint " + resume_from_->directory.string() + " was made with other values of: " + list +
                    "; expected the same ones, or an output_dir of its own for the new run");
}

void RunDirectory::begin(const Recipe& recipe) {
  write_file_atomically(path_ / "recipe.yaml", to_yaml(recipe));
  drop_rows_after(path_ / "metrics.jsonl", resume_from_ ? resume_from_->step : -1);
  metrics_ = std::make_unique<MetricsFile>(path_ / "metrics.jsonl");
}

void RunDirectory::write_step(const StepMetrics& metrics, double peak_flops) {
  ordered_json row = {
      {"step", metrics.step},
      {"epoch", metrics.epoch},
      {"loss", metrics.loss},
      {"grad_norm", metrics.grad_norm},
      {"lr", metrics.lr},
      {"tokens", metrics.tokens},
      {"supervised_tokens", metrics.supervised_tokens},
      {"tokens_per_second", static_cast<double>(metrics.tokens) / metrics.seconds},
      {"mfu", metrics.flops / metrics.seconds / peak_flops},
      {"peak_memory_bytes", peak_memory_bytes()},
  };
  row.update(metrics.method);
  metrics_->append(row.dump());
}

void RunDirectory::write_evaluation(const Progress& progress, double epoch, const Evaluation& evaluation) {
  ordered_json row = {{"step", progress.step}, {"epoch", epoch}, {"eval_loss", evaluation.loss}};
  if (evaluation.confusion.empty()) {
    row["eval_perplexity"] = std::exp(evaluation.loss);
  } else {
    row["eval_accuracy"] = evaluation.confusion.accuracy();
    row["eval_macro_f1"] = evaluation.confusion.macro_f1();
  }
  row["best_step"] = progress.best_step;
  metrics_->append(row.dump());
}

void RunDirectory::write_exact_match(int64_t step, double epoch, double loss, int64_t exact, int64_t rows) {
  const ordered_json row = {
      {"step", step}, {"epoch", epoch}, {"eval_loss", loss}, {"exact_match", exact}, {"exact_match_rows", rows}};
  metrics_->append(row.dump());
}

}  // namespace lora
