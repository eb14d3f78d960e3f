#include "lora/app/training/run_report.h"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>

#include "lora/adapters/initialise.h"
#include "lora/app/data/cleaning_report.h"
#include "lora/app/data/data_report.h"
#include "lora/app/data/mixing_report.h"
#include "lora/app/source/trained_model.h"
#include "lora/app/training/comparison.h"
#include "lora/app/training/quantization_report.h"
#include "lora/app/training/report.h"
#include "lora/data/render.h"
#include "lora/recipe/values.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"

namespace lora {
namespace {

std::string packing_line(const PlannedRun& run) {
  const EpochPlan& plan = run.trainer->rows().epoch_rows();
  const int64_t rows = plan.size(), length = run.recipe().training.max_length;
  int64_t tokens = 0;
  for (const int64_t sample : plan.rows(0, rows)) {
    tokens += run.prepared.train().index().lengths[static_cast<size_t>(sample)];
  }
  return with_commas(rows) + " rows of " + with_commas(length) + " tokens, " +
         percent(static_cast<double>(tokens) / static_cast<double>(rows * length)) + " full";
}

// "93 of 936 rows of data.train are held out for validation (validation_split 0.1, drawn by seed 42)"
std::string split_line(const PreparedRun& run) {
  const int64_t held_out = run.data->validation.counts().rows, all = held_out + run.train().counts().rows;
  return with_commas(held_out) + " of " + with_commas(all) + " rows of data.train are held out for validation " +
         "(validation_split " + print_number(run.recipe.data.validation_split) + ", drawn by seed " +
         std::to_string(run.recipe.training.seed) + ")";
}

std::string data_lines(const PlannedRun& run, const NamedDatasets& sets) {
  const PreparedRun& prepared = run.prepared;
  const Recipe& recipe = run.recipe();
  const LoadedDataset& train = prepared.train();
  std::string streamed;
  if (prepared.streams()) {
    streamed = "streamed, " + with_commas(recipe.data.shuffle_buffer) + " samples at a time; first ";
  }
  std::string text = fact("Training", streamed + dataset_line(train));
  if (run.trainer->has_validation()) text += fact("Validation", dataset_line(prepared.data->validation));
  if (recipe.data.validation_split > 0) text += fact("Split", split_line(prepared));
  text += facts_text(sources_notes(sets));
  if (recipe.training.packing && !learns_preferences(recipe.data.trains)) text += fact("Packing", packing_line(run));
  const std::string labels =
      prepared.labels.empty() ? ""
                              : fact("Labels", labels_line(train, prepared.labels.names(), prepared.options.dry_run));
  if (prepared.data->prepared) {
    return text +
           fact("Prepared", "the samples are as lora-data prepare wrote them; cleaning, templates and masks are its") +
           labels;
  }
  std::vector<DataSource> sources = sources_as_found(prepared.data->config.train, train);
  const std::vector<DataSource> held_out =
      sources_as_found(prepared.data->config.validation, prepared.data->validation);
  sources.insert(sources.end(), held_out.begin(), held_out.end());
  const std::string templates = templates_line(recipe.data, sources, *prepared.tokenizer);
  if (!templates.empty()) text += fact("Template", templates);
  if (const std::string bos = prepared.tokenizer->bos_note(); !bos.empty()) text += fact("BOS", bos);
  const std::string cleaned = cleaning_line(prepared.cleaning(), recipe.data.cleaning);
  if (!cleaned.empty()) text += fact("Cleaning", cleaned + " (lora-data report shows them)");
  return text + labels;
}

}  // namespace

std::string long_work(const PreparedRun& run) {
  const AdapterConfig& adapter = run.recipe.adapter;
  if (!run.starts_fresh() || !starts_from_base(adapter)) return "";
  const std::string hint = adapter.init == "pissa" ? "; pissa_niter_4 is many times faster" : "";
  return fact("Start", "decomposing the weights that are adapted (" + adapter.init + hint + ")");
}

std::string base_report(const LlamaForCausalLM& model, const std::string& path, bool dry_run) {
  std::string text = sentence(std::string("lora-train ") + LORA_VERSION + ", LibTorch " + TORCH_VERSION + ", " +
                              std::to_string(at::get_num_threads()) + " threads") +
                     fact("Model", path + ": " + model_line(model));
  const auto quantized = quantized_modules(model);
  if (quantized.empty()) return text;
  text += fact("Quantized", quantization_line(quantized));
  return dry_run ? text + quantization_table(quantized) + "\n" : text;
}

std::string run_report(const PlannedRun& run) {
  run.activate();
  const Recipe& recipe = run.recipe();
  const RecipeData& data = *run.prepared.data;
  NamedDatasets sets = {{"train", &run.prepared.train()}};
  if (run.trainer->has_validation()) sets.emplace_back("validation", &data.validation);
  std::string text = data_lines(run, sets);
  text += fact("Layers", layers_line(run.model(), run.plan.execution));
  const std::string start =
      starts_from_base(recipe.adapter) ? ", from the base's weights (" + recipe.adapter.init + ")" : "";
  text += fact("Adapter", recipe.adapter.method + start) + "\n" + sources_table(sets);
  if (!data.mixture.plain()) text += "\n" + mixing_table(data.mixture.shares(0), recipe.data.mixing);
  text += "\n" + adaptation_table(run.adapted) + "\n";
  text += comparison_table(run.adapted, run.plan, baselines(run.adapted, recipe.training, run.need, run.plan)) + "\n";
  if (run.trainer->groups().size() > 1) text += groups_table(run.trainer->groups()) + "\n";
  // Last, where they are seen: what the run will take.
  text += fact("Memory", memory_line(run.plan)) + fact("Passes", passes_line(run.plan.execution));
  return text +
         fact("Steps", with_commas(run.trainer->total_steps()) + " of " + with_commas(recipe.training.batch_size) +
                           (recipe.data.trains == Trains::kPair ? " pairs, " : " rows, ") +
                           with_commas(run.trainer->rows().steps_per_epoch()) +
                           (run.prepared.streams() ? " a window of the stream" : " an epoch"));
}

std::string preview(const PlannedRun& run) {
  const bool colour = console().colour;
  const EpochPlan& rows = run.trainer->rows().epoch_rows();
  const int64_t shown = std::min<int64_t>({run.recipe().training.batch_size, 4, rows.size()});
  std::string text = "First rows (" + std::string(colour ? "dim" : "in ⟦ ⟧") + ": read, not trained on)";
  for (int64_t i = 0; i < shown; ++i) {
    text += "\n\n  row " + std::to_string(i + 1);
    for (const int64_t index : rows[i]) {
      const SampleView sample = run.prepared.train()[index];
      text += "\n" + render_sample(sample, *run.prepared.tokenizer, colour);
      if (sample.label != kNoLabel) text += "  → " + run.prepared.labels.names()[static_cast<size_t>(sample.label)];
    }
  }
  return text + "\n";
}

std::string resume_report(const ActiveRun& run) {
  if (!run.directory().resume_from()) return "";
  return "Resuming after step " + with_commas(run.resumed_step()) + "\n";
}

}  // namespace lora
