#pragma once
// Turns an example into a training sample: token ids, and which of them are targets.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lora/data/counts.h"
#include "lora/data/encode_options.h"
#include "lora/data/format.h"
#include "lora/data/tokenizer.h"
#include "models/engine/attention.h"

namespace lora {

constexpr int32_t kNoLabel = -1;

struct Sample {
  std::vector<int32_t> ids;
  // As long as ids. 1: this token is a target; never the first token. With a label, only the last token has 1: the
  // label is predicted there.
  std::vector<uint8_t> supervised;
  int32_t label = kNoLabel;  // a row of the classification head
  // A preference pair: the prompt's tokens, those of the chosen answer behind it, and those of the rejected one. No
  // target is in the prompt.
  Fork fork = {};
  float value = 0;  // of a pair: its margin; of an answer to learn from by its mark: 1, or 0 for one to unlearn

  int64_t length() const { return static_cast<int64_t>(ids.size()); }
};

// A view of a sample in a Sample or a Dataset, which must outlive it.
struct SampleView {
  SampleView() = default;
  SampleView(std::span<const int32_t> tokens, std::span<const uint8_t> targets, int32_t of_label)
      : ids(tokens), supervised(targets), label(of_label) {}
  SampleView(const Sample& sample) : SampleView(sample.ids, sample.supervised, sample.label) {  // NOLINT: the same
    fork = sample.fork;
    value = sample.value;
  }

  std::span<const int32_t> ids;
  std::span<const uint8_t> supervised;
  int32_t label = kNoLabel;
  Fork fork = {};
  float value = 0;

  int64_t length() const { return static_cast<int64_t>(ids.size()); }
};

// The result of encoding one row.
struct EncodedExample {
  std::vector<Sample> samples;  // normally one; several if it was split; none if it was dropped (see `counts`)
  // For this row, except rows, samples and tokens, which the caller counts.
  SourceCounts counts;
  std::vector<std::string> spelled = {};  // names of special tokens that are text in this row
  std::vector<std::string> unread = {};   // "message.name": keys of messages that the chat template does not look at
};

// Tokenises prompt and completion as one text, so that the answer is split as in generation. A token that begins inside
// the prompt is masked, even if it extends into the completion. One BOS is at the front if the tokenizer adds it, also
// if the text contains its own. A trained EOS is at the end: the text's own where options.allow_special_tokens finds
// one there, else one that is added. A sample of more than max_length tokens is handled by options.overlong:
//   truncate  cuts the right end; the sample has no EOS, because it did not end there
//   drop      drops the sample
//   split     makes several samples, each with BOS if the whole has it; the last one has the EOS; a part
//             without trained tokens is dropped
// A conversation is rendered by options.chat and masked as encode_chat in whole_sample.h says; with
// options.chat_for_prompts, so are a prompt and its answer. Without options.chat, options.own_chat renders it. The
// result depends only on the arguments. Throws DataError, without the row's place, if the chat template refuses the
// row.
EncodedExample encode_example(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example);

// What encode_example does with options.trains kPair: one sample that forks, for an example with a rejected answer. And
// with kMark: a sample of value 1 or 0 for an example with a mark, and one of each for a pair. Of an answer too long
// for max_length the prompt's front is cut, behind BOS; without enough of a prompt the example is dropped, as it is
// with overlong `drop`, and counted as too long.
EncodedExample encode_pair(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example);
EncodedExample encode_marked(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example);

// A text to classify: the text with BOS if the tokenizer adds it, without EOS. More than max_length tokens are cut at
// the right end; the label is then predicted at the last kept token.
EncodedExample encode_labelled(const Tokenizer& tokenizer, const std::string& text, int32_t label, int64_t max_length);

// The tokens from which a model generates the example's last answer.
std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example);

// The tokens from which a model answers `prompt`: BOS if the tokenizer adds it, then the prompt, no EOS.
// `allow_special_tokens`: the name of a special token in it is this token; otherwise it is text.
std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const std::string& prompt,
                                   bool allow_special_tokens = false);

}  // namespace lora
