// Samples for objectives on preferences: a prompt with its two answers, or with one that is marked good or not.

#include <algorithm>
#include <memory>
#include <vector>

#include "lora/data/whole_sample.h"

namespace lora {
namespace {

// The messages with which both conversations begin are their prompt: nothing in it is trained.
void leave_out_prompt(Example& chosen, Example& rejected) {
  if (!chosen.chat || !rejected.chat) return;
  Chat first = *chosen.chat, second = *rejected.chat;
  const size_t shared = shared_messages(first.messages, second.messages);
  for (size_t i = 0; i < shared; ++i) first.messages[i].trained = second.messages[i].trained = false;
  chosen.chat = std::make_shared<const Chat>(std::move(first));
  rejected.chat = std::make_shared<const Chat>(std::move(second));
}

// The tokens with which all answers begin and of which none is a target.
size_t shared_prompt(const std::vector<WholeSample>& answers) {
  const Sample &first = answers.front().sample, &last = answers.back().sample;
  const auto apart = std::ranges::mismatch(first.ids, last.ids).in1 - first.ids.begin();
  const auto first_target = [](const Sample& sample) {
    return std::ranges::find(sample.supervised, uint8_t{1}) - sample.supervised.begin();
  };
  return static_cast<size_t>(std::min({apart, first_target(first), first_target(last)}));
}

// Takes tokens from the front of the prompt, behind BOS, until every answer fits. Returns how many; none where the
// prompt has too few.
std::optional<size_t> cut_prompt(std::vector<WholeSample>& answers, size_t prompt, size_t limit) {
  size_t longest = 0;
  for (const WholeSample& answer : answers) longest = std::max(longest, answer.sample.ids.size());
  const size_t excess = longest > limit ? longest - limit : 0;
  const size_t front = answers.front().has_bos && prompt > 0 ? 1 : 0;
  if (excess > 0 && prompt < std::max<size_t>(front, 1) + excess) return {};
  for (WholeSample& answer : answers) {
    const auto remove = [&](auto& list) {
      const auto begin = list.begin() + static_cast<std::ptrdiff_t>(front);
      list.erase(begin, begin + static_cast<std::ptrdiff_t>(excess));
    };
    remove(answer.sample.ids);
    remove(answer.sample.supervised);
    answer.sample.supervised.front() = 0;
  }
  return excess;
}

void count_ends(const std::vector<WholeSample>& answers, SourceCounts& counts) {
  counts.answers = 1;
  counts.ended =
      std::ranges::all_of(answers, [](const WholeSample& one) { return trains_one_of(one.sample, one.end_ids); });
  counts.only_end =
      std::ranges::any_of(answers, [](const WholeSample& one) { return trains_none_but(one.sample, one.end_ids); });
}

// The answers made to fit, as one sample; without samples where they are left out.
EncodedExample fit_answers(std::vector<WholeSample> answers, const EncodeOptions& options) {
  EncodedExample encoded;
  if (!std::ranges::all_of(answers, [](const WholeSample& one) { return trains(one.sample); }))
    return {.samples = {}, .counts = {.untrained = 1, .untrained_no_answer = 1}};
  for (const WholeSample& one : answers) {
    encoded.counts += one.counts;
    note_unread(one, encoded);
  }
  size_t prompt = shared_prompt(answers);
  const auto limit = static_cast<size_t>(std::max<int64_t>(options.max_length, 2));
  const bool fits = std::ranges::all_of(answers, [&](const auto& one) { return one.sample.ids.size() <= limit; });
  if (!fits && options.overlong == Overlong::kDrop) return {.samples = {}, .counts = {.too_long = 1}};
  const std::optional<size_t> cut = cut_prompt(answers, prompt, limit);
  if (!cut) return {.samples = {}, .counts = {.too_long = 1}};
  encoded.counts.cut = *cut > 0;
  prompt -= *cut;
  count_ends(answers, encoded.counts);
  Sample sample = std::move(answers.front().sample);
  if (answers.size() > 1) {
    sample.fork = {.prompt = static_cast<int64_t>(prompt), .second = sample.length()};
    const Sample& other = answers.back().sample;
    const auto from = static_cast<std::ptrdiff_t>(prompt);
    sample.ids.insert(sample.ids.end(), other.ids.begin() + from, other.ids.end());
    sample.supervised.insert(sample.supervised.end(), other.supervised.begin() + from, other.supervised.end());
  }
  encoded.samples.push_back(std::move(sample));
  return encoded;
}

}  // namespace

EncodedExample encode_pair(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example) {
  Example chosen = example, rejected = *example.rejected;
  leave_out_prompt(chosen, rejected);
  EncodedExample encoded =
      fit_answers({encode_whole(tokenizer, options, chosen), encode_whole(tokenizer, options, rejected)}, options);
  for (Sample& sample : encoded.samples) sample.value = static_cast<float>(example.margin.value_or(0));
  return encoded;
}

EncodedExample encode_marked(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example) {
  if (example.rejected) {
    Example chosen = example, rejected = *example.rejected;
    chosen.rejected = nullptr;
    chosen.mark = true;
    rejected.mark = false;
    EncodedExample both = encode_marked(tokenizer, options, chosen);
    EncodedExample other = encode_marked(tokenizer, options, rejected);
    both.counts += other.counts;
    both.unread.insert(both.unread.end(), other.unread.begin(), other.unread.end());
    std::ranges::move(other.samples, std::back_inserter(both.samples));
    return both;
  }
  EncodedExample encoded = fit_answers({encode_whole(tokenizer, options, example)}, options);
  for (Sample& sample : encoded.samples) sample.value = *example.mark ? 1 : 0;
  return encoded;
}

}  // namespace lora
