#pragma once
// From an example to what a model is trained on: token ids, and which of them are targets.

#include <cstdint>
#include <span>
#include <vector>

#include "lora/data/counts.h"
#include "lora/data/encode_options.h"
#include "lora/data/format.h"
#include "lora/data/tokenizer.h"

namespace lora {

constexpr int32_t kNoLabel = -1;

struct Sample {
  std::vector<int32_t> ids;
  // As long as ids; 1: this token is a target. The first token never is. With a label: 1 at the last token alone, where
  // the label is read.
  std::vector<uint8_t> supervised;
  int32_t label = kNoLabel;  // a row of the classification head

  int64_t length() const { return static_cast<int64_t>(ids.size()); }
};

// A sample that lies elsewhere, in a Sample or a Dataset, which has to outlive it.
struct SampleView {
  SampleView() = default;
  SampleView(std::span<const int32_t> tokens, std::span<const uint8_t> targets, int32_t of_label)
      : ids(tokens), supervised(targets), label(of_label) {}
  SampleView(const Sample& sample) : SampleView(sample.ids, sample.supervised, sample.label) {}  // NOLINT: the same

  std::span<const int32_t> ids;
  std::span<const uint8_t> supervised;
  int32_t label = kNoLabel;

  int64_t length() const { return static_cast<int64_t>(ids.size()); }
};

// What a row became.
struct EncodedExample {
  std::vector<Sample> samples;  // one; several where it was split; none where it was left out, as `counts` says
  // Of this row, but for rows, samples and tokens, which are counted where they are put together.
  SourceCounts counts;
};

// Prompt and completion tokenised as one text, so that the answer is split as it will be when it is generated in place;
// a token that begins inside the prompt is masked, even where it reaches into the completion. One BOS in front where
// the tokenizer puts one, also when the text brings its own; EOS, trained, at the end. A sample of more than max_length
// tokens is, by options.overlong,
//   truncate  cut on the right, and has no EOS then: it did not end there
//   drop      left out
//   split     made into several, each with BOS in front where the whole has it; the last has the EOS, and one in which
//             nothing is trained is left out
// A conversation, and with options.chat_for_prompts a prompt and its answer, is rendered by options.chat and masked as
// encode_chat in whole_sample.h says. A function of its arguments alone. Throws DataError, without the row's place,
// where the chat template has something against the row.
EncodedExample encode_example(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example);

// A text to classify: BOS where the tokenizer puts one and the text, no EOS. More than max_length tokens are cut on the
// right, and the label is then read at the last one kept.
EncodedExample encode_labelled(const Tokenizer& tokenizer, const std::string& text, int32_t label, int64_t max_length);

// The tokens that a model is given to write the example's last answer.
std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example);

// The tokens that a model is given to answer `prompt`: BOS, where the tokenizer puts one, and the prompt, no EOS.
std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const std::string& prompt);

}  // namespace lora
