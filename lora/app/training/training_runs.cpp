#include "lora/app/training/training_runs.h"

#include <algorithm>

#include "models/base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

// A checkpoint of each run that goes on.
void save_others(const TrainingRuns& runs, const TrainingRun& but) {
  for (const auto& run : runs) {
    if (run.get() != &but && !run->end()) run->save();
  }
}

[[noreturn]] void throw_named(const NumericsError& error, const std::string& name) {
  const std::string text = error.what();
  throw NumericsError("adapter '" + name + "': " + text.substr(text.find("] ") + 2));
}

}  // namespace

TrainingRuns make_runs(const std::vector<NamedRecipe>& recipes, const RunOptions& options, const Tokenizer& tokenizer) {
  if (!options.dry_run && !recipes.front().name.empty()) {
    expect_unused(fs::path(recipes.front().recipe.output_dir).parent_path());
    for (const NamedRecipe& one : recipes) {
      if (!options.resume) expect_unused(one.recipe.output_dir);
    }
  }
  TrainingRuns runs;
  for (const NamedRecipe& one : recipes) runs.push_back(std::make_unique<TrainingRun>(one, options, tokenizer));
  for (const auto& run : runs) {
    if (run->labels().names() == runs.front()->labels().names()) continue;
    throw RecipeError("adapters: the labels of '" + run->name() + "' are not those of '" + runs.front()->name() +
                      "'; wanted the same, since the adapters share one classification head's shape");
  }
  return runs;
}

void plan_runs(const TrainingRuns& runs, int64_t machine_bytes) {
  DataNeed all;
  int64_t held = 0;
  for (const auto& run : runs) {
    const DataNeed need = run->data_need();
    all.samples += need.samples;
    all.tokens += need.tokens;
    all.distinct = std::max(all.distinct, need.distinct);  // one vocabulary: the same tokens for the most part
    held += run->held_bytes();
  }
  for (const auto& run : runs) {
    all.longest = run->data_need().longest;
    run->plan(all, held - run->held_bytes(), machine_bytes);
  }
}

void take_turns(const TrainingRuns& runs) {
  int64_t done = 0, total = 0;
  for (const auto& run : runs) {
    done += run->trainer().progress().step;
    total += run->trainer().total_steps();
  }
  ProgressDisplay display(done, total);
  const auto goes_on = [](const auto& run) { return !run->end(); };
  while (std::ranges::any_of(runs, goes_on)) {
    for (const auto& run : runs) {
      if (run->end()) continue;
      try {
        run->turn(display);
      } catch (const NumericsError& error) {
        if (run->name().empty()) throw;
        save_others(runs, *run);
        throw_named(error, run->name());
      }
      if (run->end() != LoopEnd::kStopped) continue;
      for (const auto& other : runs) {
        if (!other->end()) other->stop();
      }
      return;
    }
  }
}

}  // namespace lora
