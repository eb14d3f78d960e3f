#include "lora/app/training/planned_run.h"

#include <algorithm>

#include "lora/adapters/inject.h"
#include "lora/adapters/registry.h"
#include "models/network/rope.h"

namespace lora {
namespace {

// Bytes of the adapter's weights, gradients and two moments, in float32.
int64_t held_bytes(const PlannedRun& run) {
  int64_t numbers = 0;
  for (const ParameterGroup& group : run.trainer->groups()) {
    for (const auto& [path, parameter] : group.parameters) numbers += parameter.numel();
  }
  return 4 * 4 * numbers + run.trainer->method_bytes();
}

}  // namespace

DataNeed data_need_of(const PreparedRun& run, int64_t vocabulary) {
  DataNeed need = data_need(run.train(), run.data->validation);
  if (run.streams()) {  // samples that are still to come
    need.longest = run.recipe.training.max_length;
    need.distinct = vocabulary;
  }
  return need;
}

void PlannedRun::activate() const {
  if (!name().empty()) set->activate(name());
}

ExportSource PlannedRun::export_source() const {
  const Tokenizer& tokenizer = *prepared.tokenizer;
  ExportSource source{adapted, recipe().model.path, tokenizer.files(), &tokenizer, {}, prepared.chat};
  // What is in the list itself is not written twice.
  source.options.huggingface_beside = std::ranges::count(recipe().exports, "huggingface") == 0;
  return source;
}

PlannedRun adapt(PreparedRun prepared, AdapterSet& set) {
  PlannedRun run{.prepared = std::move(prepared), .set = &set};
  Recipe& recipe = run.prepared.recipe;
  const uint64_t seed = recipe.training.seed;
  // A reference is of the weights at the start, also where the run continues from others.
  const bool refers = run.prepared.directory && compares_with_start(recipe.training);
  const bool fresh = run.prepared.starts_fresh() || refers;
  // A lone adapter needs no way back to the bare base, for which full fine-tuning would hold a second copy.
  run.adapted = run.name().empty() ? inject(set.model(), recipe.adapter, seed, fresh)
                                   : set.add(run.name(), recipe.adapter, seed, fresh);
  RecipeData& data = *run.prepared.data;
  const Dataset* held_out = data.validation.sources().empty() ? nullptr : &data.validation;
  const int64_t vocabulary = set.model()->config().vocab_size;
  expect_rows(data.validation, *run.prepared.tokenizer, vocabulary);
  if (run.prepared.streams()) {
    data.stream.samples->expect_rows(vocabulary);
  } else {
    expect_rows(data.train, *run.prepared.tokenizer, vocabulary);
  }
  expect_positions(set.model()->config().rope, std::max(run.prepared.train().longest(), data.validation.longest()));
  RowCursor rows = run.prepared.streams() ? RowCursor(*data.stream.samples, recipe.training, recipe.data.shuffle)
                                          : RowCursor(data.train, recipe.training, recipe.data.shuffle, data.mixture);
  run.trainer =
      std::make_unique<Trainer>(run.model(), recipe.training, std::move(rows), held_out, run.prepared.options.replicas);
  run.trainer->set_hooks(training_hooks(run.adapted, run.trainer->total_steps()));
  for (const std::string& name : recipe.exports) {
    check_export(name, run.export_source(),
                 std::filesystem::path(recipe.output_dir) / export_format(name).default_name);
  }
  return run;
}

void plan_memory_of(std::vector<PlannedRun>& runs, const MemoryRoom& room) {
  DataNeed all;
  int64_t held = 0;
  std::vector<int64_t> longest;
  for (const PlannedRun& run : runs) {
    const DataNeed need = data_need_of(run.prepared, run.model().config().vocab_size);
    longest.push_back(need.longest);
    all.samples += need.samples;
    all.tokens += need.tokens;
    all.distinct = std::max(all.distinct, need.distinct);  // one vocabulary: the same tokens for the most part
    held += held_bytes(run);
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    PlannedRun& run = runs[i];
    run.need = all;
    run.need.longest = longest[i];
    run.activate();
    run.plan = plan_memory(run.model(), run.trainer->groups(), run.recipe().training, run.need, room,
                           held - held_bytes(run) + run.trainer->method_bytes());
    run.trainer->set_plan(run.plan.execution);
  }
}

}  // namespace lora
