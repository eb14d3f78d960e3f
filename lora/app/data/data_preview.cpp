#include "lora/app/data/data_preview.h"

#include "lora/app/data/prepared_data.h"
#include "lora/app/source/trained_model.h"
#include "lora/data/load.h"
#include "lora/data/render.h"
#include "lora/data/row_part.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"

namespace lora {
namespace {

// Makes spaces visible.
std::string visible(const std::string& piece) {
  std::string text;
  for (const char c : one_line(piece, 60)) {
    if (c == ' ') {
      text += "␣";
    } else {
      text += c;
    }
  }
  return text;
}

std::string token_lines(const SampleView& sample, const Tokenizer& tokenizer) {
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    rows.push_back({std::to_string(sample.ids[i]), sample.supervised[i] ? "trained" : "",
                    visible(tokenizer.piece(sample.ids[i]))});
  }
  return plain_table(rows, {true, false, false});
}

}  // namespace

std::string data_preview(const Recipe& recipe, const Tokenizer& tokenizer, const PreviewOptions& options) {
  const DataConfig data = split_off_validation(recipe.data, recipe.training.seed);
  const auto& list = options.validation ? data.validation : data.train;
  const std::string name = options.validation ? "data.validation" : "data.train";
  if (options.source < 1 || options.source > static_cast<int64_t>(list.size())) {
    throw RecipeError("--source " + std::to_string(options.source) + ": " + name + " has " +
                      std::to_string(list.size()) + (list.size() == 1 ? " source" : " sources"));
  }
  const DataSource& source = list[static_cast<size_t>(options.source - 1)];
  if (is_prepared(source.path)) {
    throw DataError(source.path +
                    ": is prepared data, whose rows are not known any more; lora-train --dry-run shows its "
                    "first samples");
  }
  const Labels labels = choose_labels(recipe);
  int64_t seen = 0;
  std::vector<std::string> places;
  LoadOptions load{{.max_length = recipe.training.max_length, .labels = labels, .data = recipe.data}};
  load.filter = [&](std::span<ExampleRow> rows) {
    for (ExampleRow& row : rows) {
      ++seen;
      row.keep = seen >= options.first && seen < options.first + options.count;
      if (row.keep) places.push_back(row.where);
    }
  };
  LoadedDataset dataset;
  try {
    dataset = load_dataset({source}, tokenizer, load);
  } catch (const DataError&) {
    if (seen == 0 || seen >= options.first) throw;
    throw DataError(source.path + ": has " + with_commas(seen) + " rows, expected one from row " +
                    with_commas(options.first) + " on");
  }
  std::string shown;
  for (const std::string& place : places) shown += (shown.empty() ? "" : ", ") + place;
  if (!options.ids) shown += std::string(" (") + (options.colour ? "dim" : "in ⟦ ⟧") + ": read, not trained on)";
  std::string text = sentence(shown);
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const SampleView sample = dataset[i];
    text += "\n  sample " + std::to_string(i + 1) + ", " + std::to_string(sample.length()) + " tokens\n";
    text += options.ids ? token_lines(sample, tokenizer) : render_sample(sample, tokenizer, options.colour, "│");
    if (sample.label != kNoLabel) text += "  → " + labels.names()[static_cast<size_t>(sample.label)];
    text += "\n";
  }
  if (dataset.counts().untrained > 0)
    text += "\n  " + with_commas(dataset.counts().untrained) + " left out: nothing in them is trained\n";
  return text;
}

}  // namespace lora
