#include "lora/app/training/run_page.h"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>

#include "lora/app/data/cleaning_report.h"
#include "lora/app/data/data_report.h"
#include "lora/app/data/mixing_report.h"
#include "lora/app/source/trained_model.h"
#include "lora/app/training/report.h"
#include "lora/app/training/start_notes.h"

namespace lora {

RunRecord record_of_start(const PlannedRun& run, const std::string& name) {
  const PreparedRun& prepared = run.prepared;
  const Recipe& recipe = run.recipe();
  const RecipeData& data = *prepared.data;
  NamedDatasets sets = {{"train", &prepared.train()}};
  if (run.trainer->has_validation()) sets.emplace_back("validation", &data.validation);

  RunRecord record;
  record.name = name;
  record.total_steps = run.trainer->total_steps();
  record.recipe = values_of(recipe);
  record.facts = {{"Program", std::string("lora-train ") + LORA_VERSION + ", LibTorch " + TORCH_VERSION + ", " +
                                  std::to_string(at::get_num_threads()) + " threads"},
                  {"Model", recipe.model.path + ": " + model_line(run.model())},
                  {"Adapter", recipe.adapter.method + "; " + trained_line(run.adapted)},
                  {"Objective", recipe.training.objective},
                  {"Training data", (prepared.streams() ? "streamed; first " : "") + dataset_line(prepared.train())}};
  if (run.trainer->has_validation()) record.facts.emplace_back("Validation data", dataset_line(data.validation));
  record.facts.emplace_back("Memory", memory_line(run.plan));
  record.facts.emplace_back("Passes", passes_line(run.plan.execution));
  record.facts.emplace_back("Layers", layers_line(run.model(), run.plan.execution));

  const auto add = [&](const char* title, TextTable content) {
    if (content.rows.size() > 1) record.tables.push_back({title, std::move(content.rows), std::move(content.right)});
  };
  add("What is adapted", adapted_kinds(run.adapted));
  add("Where the data come from", sources_rows(sets));
  if (!data.mixture.plain()) add("Shares of the mixture", mixing_rows(data.mixture.shares(0), recipe.data.mixing));

  record.findings = prepared.warnings;
  for (const std::string& note : start_notes(run)) record.findings.push_back(note);
  for (const auto& [title, text] : sources_notes(sets)) {
    // The place of the cache says nothing of the data.
    if (title != "Cache") record.findings.push_back(title.empty() ? text : title + ": " + text);
  }
  if (const std::string cleaned = cleaning_line(prepared.cleaning(), recipe.data.cleaning); !cleaned.empty()) {
    record.findings.push_back("Cleaning: " + cleaned);
  }
  return record;
}

std::vector<ReportSample> report_samples(const std::vector<Question>& questions, const Answers* before,
                                         const Answers* after, size_t most) {
  std::vector<ReportSample> samples;
  for (size_t i = 0; i < std::min(questions.size(), most); ++i) {
    samples.push_back({strip(questions[i].text), strip(questions[i].expected), before ? before->texts[i] : "",
                       after ? after->texts[i] : ""});
  }
  return samples;
}

std::vector<std::array<int64_t, 3>> report_confusion(const Confusion& confusion) {
  std::vector<std::array<int64_t, 3>> counts;
  for (const auto& [pair, count] : confusion.counts()) counts.push_back({pair.first, pair.second, count});
  return counts;
}

}  // namespace lora
