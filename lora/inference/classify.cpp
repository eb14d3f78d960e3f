#include "lora/inference/classify.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <span>

#include "lora/data/sample.h"
#include "models/base/error.h"
#include "models/engine/devices.h"
#include "models/network/batch_decoder.h"

namespace lora {
namespace {

constexpr size_t kPassTokens = 512;

using Ids = std::span<const std::vector<int64_t>>;
// The logits of each text (texts, labels), float32.
using Logits = std::function<at::Tensor(Ids texts)>;

at::Tensor logits_plainly(LlamaForCausalLM& model, Ids texts) {
  std::vector<int64_t> ids, ends, lengths;
  for (const auto& text : texts) {
    ids.insert(ids.end(), text.begin(), text.end());
    ends.push_back(static_cast<int64_t>(ids.size()) - 1);
    lengths.push_back(static_cast<int64_t>(text.size()));
  }
  const auto there = [&](const std::vector<int64_t>& list) {
    return on_device(at::tensor(list, at::kLong), model.device());
  };
  const TokenBatch batch{there(ids), std::move(lengths)};
  return model.logits_at(batch, there(ends)).to(at::kFloat).cpu();
}

at::Tensor logits_of_batch(BatchDecoder& decoder, const ModelSnapshot& model, Ids texts) {
  std::vector<KvSequence> sequences(texts.size());
  std::vector<DecoderSpan> spans;
  for (size_t i = 0; i < texts.size(); ++i) spans.push_back({&sequences[i], texts[i], &model, 1});
  const auto found = decoder.pass(spans);
  at::Tensor logits = at::empty({static_cast<int64_t>(found.rows), static_cast<int64_t>(found.columns)}, at::kFloat);
  for (size_t i = 0; i < found.rows; ++i)
    std::copy_n(found.row(i), found.columns, logits[static_cast<int64_t>(i)].data_ptr<float>());
  return logits;
}

std::vector<Classification> classify_by(const Logits& logits_of, const LlamaForCausalLM& model,
                                        const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                                        int64_t max_length) {
  std::vector<std::vector<int64_t>> all;
  for (const std::string& text : texts) {
    const EncodedExample encoded = encode_labelled(tokenizer, text, kNoLabel, max_length);
    if (encoded.samples.empty()) throw DataError("a text is empty; expected at least one token");
    all.emplace_back(encoded.samples.front().ids.begin(), encoded.samples.front().ids.end());
    const int64_t rows = model.config().vocab_size;
    if (const int64_t id = std::ranges::max(all.back()); id >= rows) {
      throw ModelError("a text uses " + row_problem(tokenizer, id, rows));
    }
  }
  std::vector<Classification> found;
  for (size_t begin = 0; begin < all.size();) {
    size_t end = begin, tokens = 0;
    while (end < all.size() && (end == begin || tokens + all[end].size() <= kPassTokens)) tokens += all[end++].size();
    const at::Tensor logits = logits_of(Ids(all).subspan(begin, end - begin));
    const auto [probability, label] = (logits.size(1) == 1 ? logits : logits.softmax(1)).max(1);
    for (int64_t i = 0; i < label.size(0); ++i) {
      found.push_back({label[i].item<int64_t>(), probability[i].item<double>()});
    }
    begin = end;
  }
  return found;
}

}  // namespace

std::vector<Classification> classify_plainly(LlamaForCausalLM& model, const Tokenizer& tokenizer,
                                             const std::vector<std::string>& texts, int64_t max_length) {
  const at::NoGradGuard no_grad;
  model.eval();
  return classify_by([&](Ids some) { return logits_plainly(model, some); }, model, tokenizer, texts, max_length);
}

std::vector<Classification> classify(LlamaForCausalLM& model, const Tokenizer& tokenizer,
                                     const std::vector<std::string>& texts, int64_t max_length) {
  // On a GPU the network attends to all texts of a pass at once, and keeps no keys and values.
  if (!model.device().is_cpu() || BatchDecoder::problem(model))
    return classify_plainly(model, tokenizer, texts, max_length);
  const at::NoGradGuard no_grad;
  model.eval();
  BatchDecoder decoder(model);
  const auto snapshot = decoder.snapshot(model);
  return classify_by([&](Ids some) { return logits_of_batch(decoder, *snapshot, some); }, model, tokenizer, texts,
                     max_length);
}

}  // namespace lora
