#include "lora/inference/classify.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "lora/data/sample.h"
#include "models/base/error.h"
#include "models/engine/devices.h"

namespace lora {
namespace {

constexpr size_t kPassTokens = 512;

// Samples concatenated for one forward pass, with the end of each.
class Pass {
 public:
  bool takes(const Sample& sample) const { return ids_.empty() || ids_.size() + sample.ids.size() <= kPassTokens; }

  void add(const Sample& sample) {
    ids_.insert(ids_.end(), sample.ids.begin(), sample.ids.end());
    ends_.push_back(static_cast<int64_t>(ids_.size()) - 1);
    lengths_.push_back(sample.length());
  }

  void run(LlamaForCausalLM& model, std::vector<Classification>& found) {
    if (ids_.empty()) return;
    const auto there = [&](const std::vector<int64_t>& list) {
      return on_device(at::tensor(list, at::kLong), model.device());
    };
    const TokenBatch batch{there(ids_), std::move(lengths_)};
    const at::Tensor logits = model.logits_at(batch, there(ends_)).cpu();
    const auto [probability, label] = (logits.size(1) == 1 ? logits : logits.softmax(1)).max(1);
    for (int64_t i = 0; i < label.size(0); ++i) {
      found.push_back({label[i].item<int64_t>(), probability[i].item<double>()});
    }
    *this = Pass();
  }

 private:
  std::vector<int64_t> ids_, ends_, lengths_;
};

}  // namespace

std::vector<Classification> classify(LlamaForCausalLM& model, const Tokenizer& tokenizer,
                                     const std::vector<std::string>& texts, int64_t max_length) {
  const at::NoGradGuard no_grad;
  model.eval();
  std::vector<Classification> found;
  Pass pass;
  for (const std::string& text : texts) {
    const EncodedExample encoded = encode_labelled(tokenizer, text, kNoLabel, max_length);
    if (encoded.samples.empty()) throw DataError("a text is empty; expected at least one token");
    const Sample& sample = encoded.samples.front();
    const int64_t rows = model.config().vocab_size;
    if (const int64_t id = std::ranges::max(sample.ids); id >= rows) {
      throw ModelError("a text uses " + row_problem(tokenizer, id, rows));
    }
    if (!pass.takes(sample)) pass.run(model, found);
    pass.add(sample);
  }
  pass.run(model, found);
  return found;
}

}  // namespace lora
