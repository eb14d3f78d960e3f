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

void visit_examples(const DataSource& source, const std::function<void(Example)>& visit) {
  if (source.weight != 1.0) throw RecipeError("data: `weight` of " + source.path + ": only 1.0 is supported yet");
  const Format& format = format_of(source);
  bool any = false;
  for_each_row(source, [&](const DataRow& row) {
    any = true;
    visit(format.make(row));
  });
  if (!any) throw DataError(source.path + ": holds no rows");
}

bool trains(const Sample& sample) {
  return std::find(sample.supervised.begin(), sample.supervised.end(), 1) != sample.supervised.end();
}

class DatasetBuilder {
 public:
  DatasetBuilder(const Tokenizer& tokenizer, int64_t max_length) : tokenizer_(tokenizer), max_length_(max_length) {}

  void add(Example example) {
    pending_.push_back(std::move(example));
    if (pending_.size() == kBlock) flush();
  }

  Dataset finish() {
    flush();
    if (dataset_.samples.empty() && dataset_.dropped > 0) throw DataError(why_empty());
    return std::move(dataset_);
  }

 private:
  void flush() {
    std::vector<EncodedExample> encoded(pending_.size());
    parallel_for(static_cast<int64_t>(pending_.size()), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) encoded[i] = encode_example(tokenizer_, pending_[i], max_length_);
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

  std::string why_empty() const {
    const auto rows = [](int64_t count) { return std::to_string(count) + (count == 1 ? " row" : " rows"); };
    std::string message = "no token is left to train on in " + rows(dataset_.dropped) + ": ";
    if (dropped_by_cut_ > 0) {
      message += "the prompts of " + std::to_string(dropped_by_cut_) + " alone fill max_length " +
                 std::to_string(max_length_) + ", wanted room for the answer; raise training.max_length";
    }
    if (dataset_.dropped > dropped_by_cut_) {
      message += std::string(dropped_by_cut_ > 0 ? "; " : "") + std::to_string(dataset_.dropped - dropped_by_cut_) +
                 " have an answer without a token of its own";
    }
    return message;
  }

  const Tokenizer& tokenizer_;
  const int64_t max_length_;
  std::vector<Example> pending_;
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

Dataset load_dataset(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, int64_t max_length) {
  DatasetBuilder builder(tokenizer, max_length);
  for (const DataSource& source : sources) {
    visit_examples(source, [&](Example example) { builder.add(std::move(example)); });
  }
  return builder.finish();
}

std::vector<Example> load_examples(const std::vector<DataSource>& sources) {
  std::vector<Example> examples;
  for (const DataSource& source : sources) {
    visit_examples(source, [&](Example example) { examples.push_back(std::move(example)); });
  }
  return examples;
}

}  // namespace lora
