#pragma once
// `pre_tokenizer` of tokenizer.json: what splits a text into the words that the model sees one by one.

#include <functional>
#include <vector>

#include "lora/data/tokenizers/aligned_text.h"
#include "lora/data/tokenizers/json_view.h"
#include "lora/data/tokenizers/pattern.h"

namespace lora {

// A text and the words in it: from left to right, none empty. Between them may be text that is dropped.
struct Words {
  AlignedText text;
  std::vector<TextRange> ranges;
  std::vector<TextRange> spare;  // a splitter's workspace
};

using Splitter = std::function<void(Words&, PatternScratch&)>;

struct PreTokenizer {
  std::vector<Splitter> steps;
  bool byte_level = false;  // words are read as bytes, not as characters
};

// The steps of `object`, in order: Sequence, ByteLevel (in the last place), Split, Digits, Metaspace, Whitespace,
// WhitespaceSplit, Punctuation, CharDelimiterSplit, BertPreTokenizer. Throws ModelError for another one.
PreTokenizer read_pre_tokenizer(const JsonView& object);

}  // namespace lora
