#include "lora/data/load.h"

#include <algorithm>
#include <utility>

#include "lora/data/token_file.h"
#include "models/base/error.h"

namespace lora {
namespace {

// With `file`, writes the tokens to it as they are made; the dataset then has none in memory.
Dataset load(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const LoadOptions& options,
             TokenFileWriter* file) {
  Dataset dataset;
  SampleReader reader(sources, tokenizer, options);
  int64_t rows = 0;
  for (SampleBlock block; reader.next(block);) {
    rows += block.counts.rows;
    reader.note(block, dataset);
    for (const Sample& sample : block.samples) dataset.add(sample);
    if (file) file->take(dataset);
    if (options.on_rows) options.on_rows(rows, reader.bytes_read());
  }
  expect_rows_left(dataset.sources());
  try {
    expect_trainable(dataset.counts(), options.max_length, !options.labels.empty());
  } catch (const DataError& error) {
    std::vector<std::string> paths;
    for (const DataSource& source : sources) paths.push_back(source.path);
    throw DataError(joined(paths) + ": " + without_component(error));
  }
  dataset.edit_index().files = reader.files();
  dataset.edit_index().bad_rows = reader.bad_rows();
  if (options.notes) dataset.edit_index().notes = options.notes();
  return dataset;
}

void expect_same_files(const std::vector<SourceFile>& before, const std::vector<SourceFile>& now) {
  for (size_t i = 0; i < std::min(before.size(), now.size()); ++i) {
    if (before[i] != now[i]) throw DataError(now[i].path + ": changed while it was read; expected a file at rest");
  }
}

std::string all_options(const LoadOptions& options) {
  std::string text = options.cache.options + "\nmax_length " + std::to_string(options.max_length) + "\ntrains " +
                     std::to_string(static_cast<int>(options.data.trains)) + "\nlabels\n";
  for (const std::string& name : options.labels.names()) text += std::to_string(name.size()) + ":" + name + "\n";
  return text;
}

LoadedDataset load_through_cache(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                                 const LoadOptions& options) {
  CacheOptions cache = options.cache;
  cache.options = all_options(options);
  if (options.cache.keep) open_cache(cache.directory);
  const auto key = cache_key(sources, &tokenizer, cache);
  if (!key) return {load(sources, tokenizer, options, nullptr), "not kept: standard input is read only once"};
  const std::filesystem::path path = cache.directory / (key->text + ".tokens");
  if (auto found = open_token_file(path)) {
    touch_cached(path);
    return {std::move(*found), "found in " + path.string()};
  }
  if (!cache.keep) return {load(sources, tokenizer, options, nullptr), "not kept: this run writes nothing"};
  prune_cache(cache.directory);
  TokenFileWriter file(path);
  Dataset made = load(sources, tokenizer, options, &file);
  expect_same_files(key->files, made.index().files);
  file.commit(made);
  auto stored = open_token_file(path);
  if (!stored) throw StorageError(path.string() + ": is not what was just written to it");
  return {std::move(*stored), "kept in " + path.string()};
}

}  // namespace

LoadedDataset load_dataset(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                           const LoadOptions& options) {
  if (sources.empty()) return {};
  std::string cache;
  if (!options.cache.directory.empty()) {
    try {
      return load_through_cache(sources, tokenizer, options);
    } catch (const StorageError& error) {
      cache = std::string("not used: ") + error.what();
    }
  }
  return {load(sources, tokenizer, options, nullptr), cache};
}

std::vector<Example> load_examples(const std::vector<DataSource>& sources, const DataConfig& data, int64_t most) {
  BadRows bad(row_errors(data));
  ExampleReader reader(sources, bad, data.trains);
  std::vector<Example> examples;
  ExampleBlock block;
  while (static_cast<int64_t>(examples.size()) < most && reader.next(block)) {
    for (ExampleRow& row : block.rows) {
      if (static_cast<int64_t>(examples.size()) < most) examples.push_back(std::move(row.example));
    }
  }
  return examples;
}

}  // namespace lora
