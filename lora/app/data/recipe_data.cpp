#include "lora/app/data/recipe_data.h"

#include "lora/data/cleaning/load_filter.h"
#include "lora/data/cleaning/notes.h"

namespace lora {

RecipeData load_recipe_data(const Recipe& recipe, const Tokenizer& tokenizer, const Labels& labels,
                            const CacheOptions& cache, size_t examples) {
  RecipeData data;
  auto filters = std::make_unique<CleaningFilters>(recipe.data, !labels.empty(), examples);
  LoadOptions load{{.max_length = recipe.training.max_length, .labels = labels, .data = recipe.data}};
  load.cache = cache;
  load.cache.options = preparation_text(recipe.data);
  load.filter = filters->validation();
  data.validation = load_dataset(recipe.data.validation, tokenizer, load);
  if (recipe.data.streaming) {
    load.filter = filters->stream();
    data.stream.samples =
        std::make_unique<SampleStream>(recipe.data.train, tokenizer, load, recipe.data.shuffle_buffer);
    data.stream.filters = std::move(filters);
    data.stream.samples->seek(0);
    return data;
  }
  // The validation rows influence which training rows are kept (contamination).
  for (const DataSource& source : recipe.data.validation) load.cache.beside.push_back(source.path);
  load.filter = filters->train();
  load.notes = [&] { return to_notes(filters->report()); };
  data.train = load_dataset(recipe.data.train, tokenizer, load);
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

}  // namespace lora
