#include "lora/app/training/run_directory.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "lora/app/training/machine.h"
#include "lora/recipe/modules.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// What a run writes while it trains. Its exports stay in place: each is replaced when the new one is whole.
constexpr std::array kFilesOfRun = {"recipe.yaml", "metrics.jsonl", kReportFile, "tensorboard", "checkpoints"};
// Of these the ones that tell of a run: a page alone may be someone's copy.
constexpr std::array kSignsOfRun = {"recipe.yaml", "metrics.jsonl", "checkpoints"};

bool holds_run(const fs::path& path) {
  return std::ranges::any_of(kSignsOfRun, [&](const char* name) { return fs::exists(path / name); });
}

// The checkpoints last: until they are moved, --resume finds them.
void move_aside(const fs::path& path) {
  int number = 1;
  while (fs::exists(path / ("old-" + std::to_string(number)))) ++number;
  const fs::path old = path / ("old-" + std::to_string(number));
  fs::create_directory(old);
  for (const char* name : kFilesOfRun) {
    if (fs::exists(path / name)) fs::rename(path / name, old / name);
  }
  sync_directory(old);
  sync_directory(path);
}

// What a killed process left while it replaced these files. The run's lock is held, so that none of them is in use.
void remove_leftovers_of(const fs::path& path) {
  std::vector<fs::path> leftovers;
  for (const auto& item : fs::directory_iterator(path)) {
    const std::string name = item.path().filename().string();
    for (const char* file : kFilesOfRun) {
      if (name.starts_with("." + std::string(file) + ".tmp-")) leftovers.push_back(item.path());
    }
  }
  for (const fs::path& leftover : leftovers) fs::remove(leftover);
}

[[noreturn]] void throw_none_readable(const fs::path& path, const std::vector<SkippedCheckpoint>& skipped) {
  throw StorageError(
      path.string() + ": none of its " + std::to_string(skipped.size()) + " checkpoints can be read (" +
      skipped.front().directory.filename().string() + ": " + skipped.front().reason +
      "); expected a whole one to continue from. --restart begins anew and moves them to a folder old-N");
}

}  // namespace

void expect_unused(const fs::path& path) {
  if (!holds_run(path)) return;
  throw StorageError(path.string() +
                     ": already holds a run; expected an unused output_dir. Add --resume to continue from its newest "
                     "checkpoint, or --restart to begin anew");
}

RunDirectory::RunDirectory(const fs::path& path, Start start, Replicas& replicas)
    : path_(path), start_(start), writes_(replicas.rank() == 0), checkpoints_(path) {
  if (writes_) {
    if (start == Start::kUnused) expect_unused(path);
    lock_ = std::make_unique<RunLock>(path);
  }
  if (start != Start::kResume) return;
  if (writes_) find_checkpoint();
  const int64_t step = std::stoll(from_first(replicas, std::to_string(resume_from_ ? resume_from_->step : -1)));
  if (step < 0) return;
  shared_ = std::make_unique<SharedDirectory>(replicas, resume_from_ ? resume_from_->directory : "");
  resume_from_ = Checkpoint{step, shared_->path()};
}

// Where a resumed run continues.
void RunDirectory::find_checkpoint() {
  const NewestCheckpoint newest = checkpoints_.newest_whole();
  for (const SkippedCheckpoint& skipped : newest.skipped) {
    warnings_.push_back(skipped.directory.string() + " is damaged and passed over: " + skipped.reason);
  }
  resume_from_ = newest.checkpoint;
  if (!resume_from_ && !newest.skipped.empty()) throw_none_readable(path_, newest.skipped);
}

void RunDirectory::expect_same_run(const Recipe& recipe) {
  if (!resume_from_) return;
  const fs::path file = resume_from_->directory / "recipe.yaml";
  const Recipe then = load_stored_recipe(file);
  std::vector<std::string> keys = differing_keys(then, recipe);
  // An earlier version wrote its default here, where now the file of adapter.init_from decides.
  const auto targets = std::ranges::find(keys, "adapter.target_modules");
  if (targets != keys.end() && mean_same_modules(then, recipe)) keys.erase(targets);
  if (keys.empty()) {
    for (const std::string& change : allowed_changes(then, recipe)) {
      warnings_.push_back("changed since the checkpoint: " + change);
    }
    return;
  }
  throw RecipeError("the checkpoint " + resume_from_->directory.string() + " was made with other values of: " +
                    joined(keys) + "; expected the same ones, or an output_dir of its own for the new run");
}

void RunDirectory::begin(const Recipe& recipe) {
  shared_.reset();  // it has been read
  if (!writes_) return;
  remove_leftovers_of(path_);
  if (start_ == Start::kRestart && holds_run(path_)) move_aside(path_);
  write_file_atomically(path_ / "recipe.yaml", to_yaml(recipe));
  drop_rows_after(path_ / "metrics.jsonl", resume_from_ ? resume_from_->step : -1);
  metrics_ = std::make_unique<MetricsFile>(path_ / "metrics.jsonl");
  page_ = std::make_unique<LivePage>(path_);
  if (std::ranges::count(recipe.logging, "tensorboard") > 0) {
    events_ = std::make_unique<EventFile>(path_ / "tensorboard", resume_from_ ? resume_from_->step : 0);
  }
}

void RunDirectory::write_step(const StepMetrics& metrics, double peak_flops, at::Device device) {
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
      {"peak_memory_bytes", peak_memory_bytes(device)},
  };
  if (metrics.loss_scale > 0) row["loss_scale"] = metrics.loss_scale;
  if (metrics.skipped) row["skipped"] = true;
  for (const Measures::Mean& mean : metrics.measures.means()) row[mean.name] = mean.value();
  row.update(metrics.method);
  append(row);
}

void RunDirectory::write_evaluation(const Progress& progress, double epoch, const Evaluation& evaluation) {
  ordered_json row = {{"step", progress.step}, {"epoch", epoch}, {"eval_loss", evaluation.loss}};
  for (const Measures::Mean& mean : evaluation.measures.means()) row["eval_" + mean.name] = mean.value();
  if (!evaluation.confusion.empty()) {
    row["eval_accuracy"] = evaluation.confusion.accuracy();
    row["eval_macro_f1"] = evaluation.confusion.macro_f1();
  } else if (evaluation.measures.means().empty()) {
    row["eval_perplexity"] = std::exp(evaluation.loss);
  }
  row["best_step"] = progress.best_step;
  append(row);
}

void RunDirectory::write_exact_match(int64_t step, double epoch, double loss, int64_t exact, int64_t rows) {
  const ordered_json row = {
      {"step", step}, {"epoch", epoch}, {"eval_loss", loss}, {"exact_match", exact}, {"exact_match_rows", rows}};
  append(row);
}

void RunDirectory::append(const ordered_json& row) {
  if (!writes_) return;
  metrics_->append(row.dump());
  page_->add(row);
  if (events_) events_->add(row);
}

void RunDirectory::write_checkpoint(int64_t step, const std::function<void(const fs::path&)>& fill,
                                    const OnBytes& on_bytes) {
  if (!writes_) return;
  metrics_->sync();
  checkpoints_.write(step, fill, on_bytes);
}

void RunDirectory::prune(int64_t keep_newest, const std::vector<int64_t>& protected_steps) {
  if (writes_) checkpoints_.prune(keep_newest, protected_steps);
}

}  // namespace lora
