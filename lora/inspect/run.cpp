#include "lora/inspect/run.h"

#include <cmath>
#include <fstream>
#include <optional>

#include "lora/checkpoints/manifest.h"
#include "lora/checkpoints/store.h"
#include "lora/recipe/recipe.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t kSparkWidth = 60;

std::optional<double> number(const Json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

struct Curve {
  std::vector<double> steps, values;
  void add(const Json& row, const char* key) {
    const auto step = number(row, "step");
    const auto found = row.find(key);
    if (!step || found == row.end()) return;
    steps.push_back(*step);
    values.push_back(found->is_number() ? found->get<double>() : std::nan(""));  // NaN is null in JSON
  }
  // "2.31 at step 0, 0.71 at step 200"
  std::string ends() const {
    const auto at = [&](size_t i) {
      return fixed(values[i], 4) + " at step " + with_commas(static_cast<int64_t>(steps[i]));
    };
    return values.size() == 1 ? at(0) : at(0) + ", " + at(values.size() - 1);
  }
};

void add_curve(const Curve& curve, const char* key, const char* title, Inspection& inspection) {
  if (curve.values.empty()) return;
  inspection.facts.push_back({key, title, curve.values.back(), curve.ends()});
  if (curve.values.size() > 2) {
    const std::string line = sparkline(curve.values, kSparkWidth);
    inspection.facts.push_back({std::string(key) + "_curve", "", line});
  }
}

// Counts rows that are not a JSON object, such as the last line of a killed writer; they are not an error.
void describe_metrics(const fs::path& file, Inspection& inspection) {
  if (!fs::exists(file)) return;
  expect_stored_file(file);
  std::ifstream in(file, std::ios::binary);
  if (!in) return;
  Curve loss, eval;
  int64_t unreadable = 0;
  std::optional<double> speed;
  for (std::string line; std::getline(in, line);) {
    const Json row = parse_json_or_discard<Json>(line);
    if (!row.is_object()) {
      unreadable += line.empty() ? 0 : 1;
      continue;
    }
    loss.add(row, "loss");
    eval.add(row, "eval_loss");
    if (const auto value = number(row, "tokens_per_second")) speed = value;
  }
  add_curve(loss, "loss", "Loss", inspection);
  add_curve(eval, "eval_loss", "Validation", inspection);
  if (speed)
    inspection.facts.push_back(
        {"tokens_per_second", "Tokens/s", *speed, with_commas(std::llround(*speed)) + " at the last step"});
  if (unreadable > 0) {
    inspection.odd.push_back("metrics.jsonl has " + std::to_string(unreadable) + " lines that are not rows");
  }
  for (const Curve* curve : {&loss, &eval}) {
    for (size_t i = 0; i < curve->values.size(); ++i) {
      if (std::isfinite(curve->values[i])) continue;
      inspection.odd.push_back("a loss is not finite, first at step " +
                               with_commas(static_cast<int64_t>(curve->steps[i])));
      return;
    }
  }
}

void describe_recipe(const fs::path& file, Inspection& inspection) {
  if (!fs::exists(file)) return;
  try {
    const Recipe recipe = load_recipe(file);
    inspection.facts.push_back({"trained_base", "Trained on", recipe.model.path});
    if (recipe.training.max_steps) inspection.facts.push_back({"max_steps", "Steps asked", *recipe.training.max_steps});
    if (recipe.training.epochs) inspection.facts.push_back({"epochs", "Epochs asked", *recipe.training.epochs});
  } catch (const Error& e) {
    inspection.odd.push_back(e.what());
  }
}

void describe_state(const fs::path& file, Inspection& inspection) {
  const Json state = parse_json_or_discard<Json>(read_stored_file(file));
  if (!state.is_object() || !number(state, "step")) {
    inspection.odd.push_back(file.string() + ": not a checkpoint's state");
    return;
  }
  for (const auto& [key, title] :
       std::initializer_list<std::pair<const char*, const char*>>{{"step", "Step"},
                                                                  {"epoch", "Epoch"},
                                                                  {"tokens", "Tokens"},
                                                                  {"supervised_tokens", "Trained tokens"},
                                                                  {"best_loss", "Best validation"},
                                                                  {"best_step", "Best step"}}) {
    if (const auto value = number(state, key)) {
      if (*value != 0 || std::string(key) == "step") inspection.facts.push_back({key, title, state[key]});
    }
  }
}

}  // namespace

fs::path describe_run(const fs::path& run, Inspection& inspection) {
  describe_recipe(run / "recipe.yaml", inspection);
  describe_metrics(run / "metrics.jsonl", inspection);
  fs::path weights;
  try {
    CheckpointStore store(run);
    std::string list;
    for (const int64_t step : store.steps()) list += (list.empty() ? "" : ", ") + std::to_string(step);
    if (!list.empty()) inspection.facts.push_back({"checkpoints", "Checkpoints", list});
    const NewestCheckpoint newest = store.newest_whole();
    for (const SkippedCheckpoint& skipped : newest.skipped) {
      inspection.odd.push_back(skipped.directory.string() + " is damaged: " + skipped.reason);
    }
    if (newest.checkpoint) {
      weights = newest.checkpoint->directory;
      describe_state(weights / "state.json", inspection);
    } else {
      inspection.odd.push_back("there is no whole checkpoint");
    }
  } catch (const Error& e) {
    inspection.odd.push_back(e.what());
  }
  std::string exports;
  for (const char* name : {"adapter", "adapter-lora", "merged", "merged.pt", "model.gguf", "adapter.gguf"}) {
    if (fs::exists(run / name)) exports += (exports.empty() ? "" : ", ") + std::string(name);
  }
  if (!exports.empty()) inspection.facts.push_back({"exports", "Exports", exports});
  return weights.empty() && fs::exists(run / "adapter") ? run / "adapter" : weights;
}

void describe_checkpoint(const fs::path& checkpoint, Inspection& inspection) {
  describe_recipe(checkpoint / "recipe.yaml", inspection);
  describe_state(checkpoint / "state.json", inspection);
  const Json state = parse_json_or_discard<Json>(read_stored_file(checkpoint / "state.json"));
  const auto step = state.is_object() ? number(state, "step") : std::nullopt;
  if (!step) return;
  try {
    const auto damage = find_damage(checkpoint, static_cast<int64_t>(*step));
    inspection.facts.push_back({"whole", "Whole", !damage});
    if (damage) inspection.odd.push_back("damaged: " + *damage);
  } catch (const Error& e) {
    inspection.odd.push_back(e.what());
  }
}

}  // namespace lora
