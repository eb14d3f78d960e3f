#include "lora/data/load.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "lora/data/encode_options.h"
#include "lora/data/sample.h"
#include "lora/data/token_file.h"
#include "models/error.h"
#include "models/parallel.h"

namespace lora {
namespace {

// Examples a thread takes at a time.
constexpr int64_t kGrain = 16;

class Loader {
 public:
  Loader(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const LoadOptions& options)
      : sources_(sources),
        tokenizer_(tokenizer),
        options_(options),
        bad_(row_errors(options.data)),
        reader_(sources, bad_, !options.labels.empty()),
        encode_options_(sources.size()) {}

  // With `file`, the tokens go there as they are made, and the dataset has none in memory.
  Dataset load(TokenFileWriter* file) {
    ExampleBlock block;
    while (reader_.next(block)) {
      SourcePart& source = source_of(block);
      source.counts.rows += block.read;
      source.counts.unreadable += block.read - static_cast<int64_t>(block.rows.size());
      if (options_.filter) {
        options_.filter(block.rows);
        source.counts.filtered +=
            static_cast<int64_t>(std::erase_if(block.rows, [](const auto& row) { return !row.keep; }));
      }
      encode(block, source);
      if (file) file->take(dataset_);
    }
    for (const SourcePart& source : dataset_.sources()) {
      const SourceCounts& counts = source.counts;
      if (counts.filtered == 0 || counts.filtered + counts.unreadable < counts.rows) continue;
      throw DataError(source.path + ": none of its " + std::to_string(counts.rows) +
                      " rows is left: data.cleaning left out " + std::to_string(counts.filtered));
    }
    expect_trainable(dataset_.counts(), options_.max_length, !options_.labels.empty());
    DatasetIndex& index = dataset_.edit_index();
    index.files = reader_.files();
    index.bad_rows = bad_.first();
    return std::move(dataset_);
  }

 private:
  SourcePart& source_of(const ExampleBlock& block) {
    if (dataset_.sources().size() <= block.source) dataset_.begin_source(sources_[block.source].path);
    SourcePart& source = dataset_.last_source();
    source.format = reader_.source(block.source).format;
    source.ground = reader_.ground(block.source);
    return source;
  }

  void encode(const ExampleBlock& block, SourcePart& source) {
    if (block.rows.empty()) return;
    std::optional<EncodeOptions>& options = encode_options_[block.source];
    if (!options)
      options = encode_options(options_.data, reader_.source(block.source), tokenizer_, options_.max_length);
    std::vector<EncodedExample> encoded(block.rows.size());
    std::vector<std::string> errors(block.rows.size());
    parallel_for(static_cast<int64_t>(block.rows.size()), kGrain, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        try {
          encoded[i] = encode(block.rows[i], *options);
        } catch (const DataError& error) {
          errors[i] = without_component(error);
        }
      }
    });
    for (size_t i = 0; i < encoded.size(); ++i) {
      if (!errors[i].empty()) {
        bad_.add(errors[i]);
        ++source.counts.unreadable;
        continue;
      }
      source.counts += encoded[i].counts;
      for (const Sample& sample : encoded[i].samples) dataset_.add(sample);
    }
  }

  EncodedExample encode(const ExampleRow& row, const EncodeOptions& options) const {
    if (options_.labels.empty()) {
      try {
        return encode_example(tokenizer_, options, row.example);
      } catch (const DataError& error) {  // a chat template's, which does not know the row
        throw DataError(row.where + ": " + without_component(error));
      }
    }
    const int32_t label = options_.labels.id(*row.example.label, row.where);
    return encode_labelled(tokenizer_, row.example.prompt, label, options.max_length);
  }

  const std::vector<DataSource>& sources_;
  const Tokenizer& tokenizer_;
  const LoadOptions& options_;
  BadRows bad_;
  ExampleReader reader_;
  std::vector<std::optional<EncodeOptions>> encode_options_;  // of the sources so far
  Dataset dataset_;
};

void expect_same_files(const std::vector<SourceFile>& before, const std::vector<SourceFile>& now) {
  for (size_t i = 0; i < std::min(before.size(), now.size()); ++i) {
    if (before[i] != now[i]) throw DataError(now[i].path + ": changed while it was read; wanted a file at rest");
  }
}

std::string all_options(const LoadOptions& options) {
  std::string text = options.cache.options + "\nmax_length " + std::to_string(options.max_length) + "\nlabels\n";
  for (const std::string& name : options.labels.names()) text += std::to_string(name.size()) + ":" + name + "\n";
  return text;
}

LoadedDataset load_through_cache(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                                 const LoadOptions& options) {
  CacheOptions cache = options.cache;
  cache.options = all_options(options);
  if (options.cache.keep) open_cache(cache.directory);
  const auto key = cache_key(sources, tokenizer, cache);
  if (!key) return {Loader(sources, tokenizer, options).load(nullptr), "not kept: standard input is read only once"};
  const std::filesystem::path path = cache.directory / (key->text + ".tokens");
  if (auto found = open_token_file(path)) {
    touch_cached(path);
    return {std::move(*found), "found in " + path.string()};
  }
  if (!cache.keep) return {Loader(sources, tokenizer, options).load(nullptr), "not kept: this run writes nothing"};
  prune_cache(cache.directory);
  TokenFileWriter file(path);
  Dataset made = Loader(sources, tokenizer, options).load(&file);
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
  return {Loader(sources, tokenizer, options).load(nullptr), cache};
}

std::vector<Example> load_examples(const std::vector<DataSource>& sources, const DataConfig& data, int64_t most) {
  BadRows bad(row_errors(data));
  ExampleReader reader(sources, bad, /*labelled=*/false);
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
