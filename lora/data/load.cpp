#include "lora/data/load.h"

#include <algorithm>
#include <utility>

#include "models/error.h"
#include "models/parallel.h"

namespace lora {
namespace {

// Rows tokenised at a time: enough for every thread, little enough that their text does not matter in memory.
constexpr size_t kBlock = 4096;
// Examples a thread takes at a time.
constexpr int64_t kGrain = 16;

std::string rows(int64_t count) { return std::to_string(count) + (count == 1 ? " row" : " rows"); }

class Loader {
 public:
  Loader(const Tokenizer& tokenizer, const LoadOptions& options) : tokenizer_(tokenizer), options_(options) {}

  void begin_source(const DataSource& source) {
    flush();
    dataset_.begin_source(source.path, source.format);
    encode_options_ = encode_options(options_.data, source, options_.max_length);
  }

  void add(Example example, const std::string& where) {
    if (example.label.has_value() == options_.labels.empty()) {
      throw DataError(where + (options_.labels.empty() ? ": a row with a label; wanted text for a language model"
                                                       : ": a row without a label; wanted format classification"));
    }
    pending_.push_back({std::move(example), dataset_.sources().size() - 1, where});
    if (pending_.size() == kBlock) flush();
  }

  Dataset finish() {
    flush();
    for (const SourcePart& source : dataset_.sources()) {
      if (source.counts.rows == 0 || source.counts.filtered < source.counts.rows) continue;
      throw DataError(source.path + ": all of its " + rows(source.counts.rows) + " are left out by data.cleaning");
    }
    expect_trainable(dataset_.counts(), options_.max_length, !options_.labels.empty());
    return std::move(dataset_);
  }

 private:
  void flush() {
    if (pending_.empty()) return;
    SourceCounts& counts = dataset_.last_source().counts;
    counts.rows += static_cast<int64_t>(pending_.size());
    if (options_.filter) {
      options_.filter(pending_);
      counts.filtered += std::erase_if(pending_, [](const ExampleRow& row) { return !row.keep; });
    }
    std::vector<EncodedExample> encoded(pending_.size());
    parallel_for(static_cast<int64_t>(pending_.size()), kGrain, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) encoded[i] = encode(pending_[i]);
    });
    pending_.clear();
    for (const EncodedExample& example : encoded) {
      counts += example.counts;
      for (const Sample& sample : example.samples) dataset_.add(sample);
    }
  }

  EncodedExample encode(const ExampleRow& row) const {
    if (options_.labels.empty()) return encode_example(tokenizer_, encode_options_, row.example);
    const int32_t label = options_.labels.id(*row.example.label, row.where);
    return encode_labelled(tokenizer_, row.example.prompt, label, options_.max_length);
  }

  const Tokenizer& tokenizer_;
  const LoadOptions& options_;
  std::vector<ExampleRow> pending_;
  Dataset dataset_;
  EncodeOptions encode_options_;  // of the source that rows come from now
};

void visit_source(const DataSource& source, const std::function<void(Example, const std::string&)>& visit) {
  if (source.weight != 1.0) throw RecipeError("data: `weight` of " + source.path + ": only 1.0 is supported yet");
  const Format& format = format_of(source);
  bool any = false;
  for_each_row(source, [&](const DataRow& row) {
    any = true;
    visit(format.make(row), row.where());
  });
  if (!any) throw DataError(source.path + ": holds no rows");
}

}  // namespace

void visit_examples(const std::vector<DataSource>& sources,
                    const std::function<void(Example example, const std::string& where)>& visit) {
  for (const DataSource& source : sources) visit_source(source, visit);
}

Dataset load_dataset(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const LoadOptions& options) {
  Loader loader(tokenizer, options);
  for (const DataSource& source : sources) {
    loader.begin_source(source);
    visit_source(source, [&](Example example, const std::string& where) { loader.add(std::move(example), where); });
  }
  return loader.finish();
}

std::vector<Example> load_examples(const std::vector<DataSource>& sources, int64_t most) {
  std::vector<Example> examples;
  visit_examples(sources, [&](Example example, const std::string&) {
    if (static_cast<int64_t>(examples.size()) < most) examples.push_back(std::move(example));
  });
  return examples;
}

}  // namespace lora
