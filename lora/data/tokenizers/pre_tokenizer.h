#pragma once
// Reads `pre_tokenizer` of tokenizer.json: splits a text into words, which the model encodes separately.

#include <functional>
#include <vector>

#include "lora/data/tokenizers/aligned_text.h"
#include "lora/data/tokenizers/json_view.h"
#include "lora/data/tokenizers/pattern.h"

namespace lora {

// A text and its words, from left to right; none is empty. Text between words is dropped.
struct Words {
  AlignedText text;
  std::vector<TextRange> ranges;
  std::vector<TextRange> spare;  // a splitter's workspace
};

using Splitter = std::function<void(Words&, PatternScratch&)>;

struct PreTokenizer {
  std::vector<Splitter> steps;
  bool byte_level = false;  // the model encodes words as bytes instead of characters
};

// The steps of `object`, in order: Sequence, ByteLevel (only Split, Digits and Punctuation may follow it), Split,
// Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation, CharDelimiterSplit, BertPreTokenizer. Throws ModelError
// for any other.
PreTokenizer read_pre_tokenizer(const JsonView& object);

}  // namespace lora
