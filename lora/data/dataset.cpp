#include "lora/data/dataset.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "models/error.h"
#include "models/parallel.h"

namespace lora {
namespace {

// Rows tokenised at a time: enough for every thread, little enough that their text does not matter in memory.
constexpr size_t kBlock = 4096;
// Examples a thread takes at a time.
constexpr int64_t kGrain = 16;

bool trains(const Sample& sample) {
  return std::find(sample.supervised.begin(), sample.supervised.end(), 1) != sample.supervised.end();
}

class DatasetBuilder {
 public:
  DatasetBuilder(const Tokenizer& tokenizer, int64_t max_length, const Labels& labels)
      : tokenizer_(tokenizer), max_length_(max_length), labels_(labels) {}

  void add(Example example, const std::string& where) {
    if (example.label.has_value() == labels_.empty()) {
      throw DataError(where + (labels_.empty() ? ": a row with a label; wanted text for a language model"
                                               : ": a row without a label; wanted format classification"));
    }
    const int32_t label = example.label ? labels_.id(*example.label, where) : kNoLabel;
    pending_.push_back({std::move(example), label});
    if (pending_.size() == kBlock) flush();
  }

  Dataset finish() {
    flush();
    if (dataset_.samples.empty() && dataset_.dropped > 0) throw DataError(why_empty());
    return std::move(dataset_);
  }

 private:
  struct Pending {
    Example example;
    int32_t label;
  };

  void flush() {
    std::vector<EncodedExample> encoded(pending_.size());
    parallel_for(static_cast<int64_t>(pending_.size()), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) encoded[i] = encode(pending_[i]);
    });
    pending_.clear();
    for (EncodedExample& example : encoded) {
      if (trains(example.sample)) {
        dataset_.cut += example.cut;
        dataset_.samples.push_back(std::move(example.sample));
      } else {
        ++dataset_.dropped;
        dropped_by_cut_ += example.cut;
      }
    }
  }

  EncodedExample encode(const Pending& row) const {
    if (row.label == kNoLabel) return encode_example(tokenizer_, row.example, max_length_);
    return encode_labelled(tokenizer_, row.example.prompt, row.label, max_length_);
  }

  std::string why_empty() const {
    const auto rows = [](int64_t count) { return std::to_string(count) + (count == 1 ? " row" : " rows"); };
    std::string message = "no token is left to train on in " + rows(dataset_.dropped) + ": ";
    if (dropped_by_cut_ > 0) {
      message += "the prompts of " + std::to_string(dropped_by_cut_) + " alone fill max_length " +
                 std::to_string(max_length_) + ", wanted room for the answer; raise training.max_length";
    }
    if (dataset_.dropped > dropped_by_cut_) {
      message += std::string(dropped_by_cut_ > 0 ? "; " : "") + std::to_string(dataset_.dropped - dropped_by_cut_) +
                 (labels_.empty() ? " have an answer without a token of its own" : " have a text without a token");
    }
    return message;
  }

  const Tokenizer& tokenizer_;
  const int64_t max_length_;
  const Labels& labels_;
  std::vector<Pending> pending_;
  Dataset dataset_;
  int64_t dropped_by_cut_ = 0;
};

}  // namespace

std::vector<int64_t> Dataset::lengths() const {
  std::vector<int64_t> lengths;
  lengths.reserve(samples.size());
  for (const Sample& sample : samples) lengths.push_back(sample.length());
  return lengths;
}

int64_t Dataset::tokens() const {
  return std::accumulate(samples.begin(), samples.end(), int64_t{0},
                         [](int64_t sum, const Sample& sample) { return sum + sample.length(); });
}

int64_t Dataset::supervised_tokens() const {
  return std::accumulate(samples.begin(), samples.end(), int64_t{0}, [](int64_t sum, const Sample& sample) {
    return std::accumulate(sample.supervised.begin(), sample.supervised.end(), sum);
  });
}

void visit_examples(const std::vector<DataSource>& sources,
                    const std::function<void(Example example, const std::string& where)>& visit) {
  for (const DataSource& source : sources) {
    if (source.weight != 1.0) throw RecipeError("data: `weight` of " + source.path + ": only 1.0 is supported yet");
    const Format& format = format_of(source);
    bool any = false;
    for_each_row(source, [&](const DataRow& row) {
      any = true;
      visit(format.make(row), row.where());
    });
    if (!any) throw DataError(source.path + ": holds no rows");
  }
}

Dataset load_dataset(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, int64_t max_length,
                     const Labels& labels) {
  DatasetBuilder builder(tokenizer, max_length, labels);
  visit_examples(sources, [&](Example example, const std::string& where) { builder.add(std::move(example), where); });
  return builder.finish();
}

std::vector<Example> load_examples(const std::vector<DataSource>& sources) {
  std::vector<Example> examples;
  visit_examples(sources, [&](Example example, const std::string&) { examples.push_back(std::move(example)); });
  return examples;
}

}  // namespace lora
