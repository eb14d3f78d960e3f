#include "lora/app/training/prepared_run.h"

#include <nlohmann/json.hpp>

#include "lora/app/data/cleaning_report.h"
#include "lora/app/data/prepared_data.h"
#include "lora/app/source/trained_model.h"
#include "lora/app/training/agreement.h"
#include "lora/app/training/base_record.h"
#include "lora/app/training/data_record.h"
#include "lora/app/training/report.h"
#include "lora/app/training/sample_hash.h"
#include "lora/data/encode_options.h"
#include "lora/terminal/busy.h"
#include "models/base/error.h"

namespace lora {
namespace {

// Files with chat templates, which decide what rows become.
std::vector<std::string> template_files(const DataConfig& data) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& name) {
    if (name.ends_with(".jinja")) files.push_back(name);
  };
  add(data.chat_template);
  for (const auto* list : {&data.train, &data.validation}) {
    for (const DataSource& source : *list) add(source.chat_template);
  }
  return files;
}

// KTO learns from the difference between good answers and bad ones.
void expect_both_marks(const PreparedRun& run) {
  if (run.recipe.data.trains != Trains::kMark) return;
  const Dataset& data = run.train();
  int64_t good = 0;
  for (int64_t i = 0; i < data.size(); ++i) good += data[i].value > 0;
  if (good > 0 && good < data.size()) return;
  const PreferenceConfig& config = run.recipe.training.preference;
  const std::string missing = good > 0 ? "undesirable_weight" : "desirable_weight";
  if ((good > 0 ? config.undesirable_weight : config.desirable_weight) == 0) return;
  throw DataError("data.train: 'label' is " + std::string(good > 0 ? "true" : "false") + " in all " +
                  std::to_string(data.size()) + " samples, and objective kto learns from both; expected some with " +
                  (good > 0 ? "false" : "true") + ", or training.preference." + missing + ": 0 to do without");
}

// What every process has read for itself.
void expect_same_start(const PreparedRun& run) {
  Replicas& replicas = *run.options.replicas;
  if (replicas.count() == 1) return;
  const std::string weights = run.base.empty() ? "" : nlohmann::json::parse(run.base).at("weights").dump(2);
  expect_agreement(replicas, {{"base model", weights},
                              {"training data", described_samples(run.train())},
                              {"validation data", described_samples(run.data->validation)}});
}

PreparedRun prepare_run(const NamedRecipe& named, const RunOptions& options, const Tokenizer& tokenizer,
                        const std::shared_ptr<MadeDirectories>& above) {
  PreparedRun run{
      .name = named.name, .recipe = named.recipe, .options = options, .tokenizer = &tokenizer, .above = above};
  Busy busy(work_of(named.name, "looking for checkpoints"));
  if (!options.dry_run) {
    run.directory = std::make_unique<RunDirectory>(run.recipe.output_dir, options.start, *options.replicas);
    run.directory->expect_same_run(run.recipe);
    run.warnings = run.directory->warnings();
    busy.next(work_of(named.name, "hashing the base model"));
    run.base = base_record(run.recipe.model.path);
    if (const auto& checkpoint = run.directory->resume_from()) {
      const auto differences = compare_base_record(checkpoint->directory, run.base, run.recipe.model.path);
      run.warnings.insert(run.warnings.end(), differences.begin(), differences.end());
    }
  }
  CacheOptions cache{.directory = cache_directory(run.recipe.data.cache_dir), .keep = !options.dry_run};
  busy.next(work_of(named.name, "reading the data"));
  first_then_others(*options.replicas, [&] {
    run.labels = choose_labels(run.recipe, cache);
    cache.beside = template_files(run.recipe.data);
    run.data = std::make_unique<RecipeData>(load_recipe_data(run.recipe, tokenizer, run.labels, cache, shown_by(busy)));
  });
  busy.next(work_of(named.name, "checking the data"));
  if (!run.streams()) expect_both_marks(run);
  expect_same_start(run);
  const std::vector<DataSource>& sources = run.recipe.data.train;
  run.chat = run.data->prepared ? prepared_template(sources.front().path, tokenizer)
                                : trained_template(run.recipe.data, sources_as_found(sources, run.train()), tokenizer);
  // A stream's samples are compared where it continues.
  if (run.directory && run.directory->resume_from() && !run.streams()) {
    expect_same_data(run.directory->resume_from()->directory, run.data->train, nullptr, run.data->validation);
  }
  for (std::string& warning : cleaning_warnings(run.cleaning(), run.recipe.data.cleaning)) {
    run.warnings.push_back(std::move(warning));
  }
  return run;
}

}  // namespace

std::vector<PreparedRun> prepare_runs(const std::vector<NamedRecipe>& recipes, const RunOptions& options,
                                      const Tokenizer& tokenizer) {
  std::shared_ptr<MadeDirectories> above;
  if (!options.dry_run && !recipes.front().name.empty() && options.replicas->rank() == 0) {
    const std::filesystem::path directory = std::filesystem::path(recipes.front().recipe.output_dir).parent_path();
    expect_unused(directory);
    for (const NamedRecipe& one : recipes) {
      if (options.start == Start::kUnused) expect_unused(one.recipe.output_dir);
    }
    above = std::make_shared<MadeDirectories>(directory);
  }
  std::vector<PreparedRun> runs;
  for (const NamedRecipe& one : recipes) runs.push_back(prepare_run(one, options, tokenizer, above));
  for (const PreparedRun& run : runs) {
    if (run.labels.names() == runs.front().labels.names()) continue;
    throw RecipeError("adapters: the labels of '" + run.name + "' differ from those of '" + runs.front().name +
                      "'; expected the same, since the adapters share the shape of one classification head");
  }
  return runs;
}

}  // namespace lora
