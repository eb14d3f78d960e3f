#include "lora/data/sample.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace lora {
namespace {

// Rows written for other tools may spell out the BOS that we put in front ourselves.
size_t spelled_bos(const Tokenizer& tokenizer, std::string_view text) {
  if (!tokenizer.adds_bos()) return 0;
  const std::string name = tokenizer.piece(*tokenizer.bos_id());
  return !name.empty() && text.starts_with(name) ? name.size() : 0;
}

bool trains(const Sample& sample) {
  return std::find(sample.supervised.begin(), sample.supervised.end(), 1) != sample.supervised.end();
}

// A whole row, of any length, before it is made to fit.
struct Whole {
  Sample sample;
  bool has_bos = false;
  bool is_answer = false;  // something has to end it

  void add(int64_t id, bool target) {
    // Nothing stands before the first token to predict it from.
    sample.supervised.push_back(target && !sample.ids.empty());
    sample.ids.push_back(static_cast<int32_t>(id));
  }
};

Sample part(const Whole& whole, size_t begin, size_t end) {
  Sample sample;
  if (begin > 0 && whole.has_bos) {
    sample.ids.push_back(whole.sample.ids.front());
    sample.supervised.push_back(0);
  }
  const auto at = [](const auto& list, size_t i) { return list.begin() + static_cast<std::ptrdiff_t>(i); };
  sample.ids.insert(sample.ids.end(), at(whole.sample.ids, begin), at(whole.sample.ids, end));
  sample.supervised.insert(sample.supervised.end(), at(whole.sample.supervised, begin),
                           at(whole.sample.supervised, end));
  sample.supervised.front() = 0;
  return sample;
}

std::vector<Sample> split(const Whole& whole, size_t limit) {
  std::vector<Sample> parts;
  const size_t length = whole.sample.ids.size();
  for (size_t begin = 0; begin < length;) {
    const size_t room = limit - (begin > 0 && whole.has_bos ? 1 : 0);
    const size_t end = std::min(length, begin + room);
    parts.push_back(part(whole, begin, end));
    begin = end;
  }
  return parts;
}

bool trains_one_of(const Sample& sample, const std::vector<int64_t>& ids) {
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    if (sample.supervised[i] && std::ranges::count(ids, sample.ids[i]) > 0) return true;
  }
  return false;
}

// Where nothing of the row is trained it has no samples; each fate is counted.
EncodedExample fit(Whole whole, const EncodeOptions& options, const std::vector<int64_t>& end_ids) {
  EncodedExample encoded;
  SourceCounts& counts = encoded.counts;
  const auto limit = static_cast<size_t>(std::max<int64_t>(options.max_length, 2));
  const bool trained = trains(whole.sample);
  if (whole.sample.ids.size() <= limit) {
    encoded.samples.push_back(std::move(whole.sample));
  } else if (options.overlong == Overlong::kDrop && trained) {
    counts.too_long = 1;
    return encoded;
  } else if (options.overlong == Overlong::kSplit) {
    encoded.samples = split(whole, limit);
    counts.split = 1;
  } else {
    encoded.samples.push_back(part(whole, 0, limit));
    counts.cut = 1;
  }
  std::erase_if(encoded.samples, [](const Sample& sample) { return !trains(sample); });
  if (encoded.samples.empty()) {
    encoded.counts = {.untrained = 1, .untrained_by_cut = trained};
    return encoded;
  }
  counts.answers = whole.is_answer;
  counts.ended = whole.is_answer && std::ranges::any_of(encoded.samples, [&](const Sample& sample) {
                   return trains_one_of(sample, end_ids);
                 });
  return encoded;
}

}  // namespace

EncodedExample encode_example(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example) {
  const std::string text = example.prompt + example.completion;
  const size_t skipped = spelled_bos(tokenizer, text);
  const size_t prompt_end = example.prompt.size() > skipped ? example.prompt.size() - skipped : 0;
  const bool all = options.train_on == TrainOn::kAll;

  Whole whole;
  whole.is_answer = !example.prompt.empty();
  const std::vector<Token> tokens = tokenizer.encode(std::string_view(text).substr(skipped));
  whole.sample.ids.reserve(tokens.size() + 2);
  whole.sample.supervised.reserve(tokens.size() + 2);
  if (tokenizer.adds_bos()) {
    whole.add(*tokenizer.bos_id(), false);
    whole.has_bos = true;
  }
  for (const Token& token : tokens) whole.add(token.id, all || token.begin >= prompt_end);
  std::vector<int64_t> end_ids;
  if (const auto eos = tokenizer.eos_id()) {
    whole.add(*eos, true);
    end_ids.push_back(*eos);
  }
  return fit(std::move(whole), options, end_ids);
}

std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const std::string& prompt) {
  std::vector<int64_t> ids;
  if (tokenizer.adds_bos()) ids.push_back(*tokenizer.bos_id());
  const auto text = std::string_view(prompt).substr(spelled_bos(tokenizer, prompt));
  for (const Token& token : tokenizer.encode(text)) ids.push_back(token.id);
  return ids;
}

EncodedExample encode_labelled(const Tokenizer& tokenizer, const std::string& text, int32_t label, int64_t max_length) {
  const std::vector<int64_t> ids = encode_prompt(tokenizer, text);
  const size_t kept = std::min(ids.size(), static_cast<size_t>(max_length));
  if (kept == 0) return {.samples = {}, .counts = {.untrained = 1}};
  Sample sample;
  sample.ids.assign(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(kept));
  sample.supervised.assign(kept, 0);
  sample.supervised.back() = 1;
  sample.label = label;
  return {.samples = {std::move(sample)}, .counts = {.cut = kept < ids.size()}};
}

}  // namespace lora
