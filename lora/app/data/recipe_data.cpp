#include "lora/app/data/recipe_data.h"

#include <filesystem>

#include "lora/app/data/prepared_data.h"
#include "lora/data/cleaning/load_filter.h"
#include "lora/data/cleaning/notes.h"
#include "lora/data/input.h"
#include "lora/data/row_part.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"

namespace lora {
namespace {

// Of the sources' files. Files that are missing are reported where they are read.
int64_t bytes_on_disk(const std::vector<DataSource>& sources) {
  int64_t bytes = 0;
  for (const DataSource& source : sources) {
    if (source.path == "-" || is_prepared(source.path)) continue;
    try {
      for (const std::string& file : matching_files(source.path)) {
        std::error_code error;
        const uintmax_t size = std::filesystem::file_size(file, error);
        if (!error) bytes += static_cast<int64_t>(size);
      }
    } catch (const DataError&) {
    }
  }
  return bytes;
}

}  // namespace

OnRows shown_by(Busy& busy) {
  return [&busy](const RowsRead& read) {
    busy.at(read.bytes, read.all_bytes, with_commas(read.rows) + (read.rows == 1 ? " row" : " rows"));
  };
}

RecipeData load_recipe_data(const Recipe& recipe, const Tokenizer& tokenizer, const Labels& labels,
                            const CacheOptions& cache, const OnRows& on_rows, size_t examples) {
  RecipeData data;
  data.prepared = trains_on_prepared(recipe.data);
  if (data.prepared && learns_preferences(recipe.data.trains)) {
    throw RecipeError("training.objective: " + recipe.training.objective + " does not train on prepared data (" +
                      recipe.data.train.front().path + "); expected the files that it was made of");
  }
  data.config = split_off_validation(recipe.data, recipe.training.seed);
  auto filters = std::make_unique<CleaningFilters>(data.config, examples);
  LoadOptions load{{.max_length = recipe.training.max_length, .labels = labels, .data = recipe.data}};
  load.cache = cache;
  load.cache.options = preparation_text(recipe.data);
  load.filter = filters->validation();
  const int64_t validation_bytes = bytes_on_disk(data.config.validation);
  const int64_t train_bytes = recipe.data.streaming ? 0 : bytes_on_disk(data.config.train);
  RowsRead before;  // the current list of sources
  if (on_rows) {
    load.on_rows = [&](int64_t rows, int64_t bytes) {
      on_rows({before.rows + rows, before.bytes + bytes, validation_bytes + train_bytes});
    };
  }
  const auto load_list = [&](const std::vector<DataSource>& sources, bool validation) -> LoadedDataset {
    if (sources.empty() || !is_prepared(sources.front().path)) return load_dataset(sources, tokenizer, load);
    return {load_prepared(sources.front().path, validation, tokenizer, load.max_length, labels), ""};
  };
  data.validation = load_list(data.config.validation, true);
  if (recipe.data.validation_split > 0 && data.validation.counts().rows == 0) {
    throw DataError("data.validation_split: of the few rows of data.train this share is none; expected a larger share");
  }
  before = {data.validation.counts().rows, validation_bytes};
  if (recipe.data.streaming) {
    load.filter = filters->stream();
    data.stream.samples =
        std::make_unique<SampleStream>(data.config.train, tokenizer, load, recipe.data.shuffle_buffer);
    data.stream.filters = std::move(filters);
    data.stream.samples->seek(0);
    return data;
  }
  // The validation rows influence which training rows are kept (contamination).
  for (const DataSource& source : data.config.validation) load.cache.beside.push_back(source.path);
  load.filter = filters->train();
  load.notes = [&] { return to_notes(filters->report()); };
  data.train = load_list(data.config.train, false);
  data.cleaning = from_notes(data.train.index().notes).value_or(filters->report());
  data.cleaning_seconds = filters->seconds();
  std::vector<MixedSource> sources;
  for (size_t i = 0; i < recipe.data.train.size(); ++i) {
    const SourcePart& part = data.train.sources()[i];
    const DataSource& source = recipe.data.train[i];
    sources.push_back({source.path, part.begin, part.end, source.weight, source.epochs});
  }
  const MixingConfig& mixing = recipe.data.mixing;
  data.mixture = Mixture(mixing, std::move(sources), data.train.lengths(), recipe.data.shuffle, recipe.training.seed);
  return data;
}

std::vector<DataSource> sources_as_found(std::vector<DataSource> sources, const Dataset& dataset) {
  sources.resize(dataset.sources().size());
  for (size_t i = 0; i < sources.size(); ++i) sources[i].format = dataset.sources()[i].format;
  return sources;
}

}  // namespace lora
