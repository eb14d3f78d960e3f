#pragma once
// A row's tokens of any length, and how they are made to fit max_length.

#include <vector>

#include "lora/data/chat_template.h"
#include "lora/data/sample.h"

namespace lora {

struct WholeSample {
  Sample sample;
  bool has_bos = false;               // in front
  bool is_answer = false;             // something has to end it
  std::vector<int64_t> end_ids = {};  // trained, these end an answer

  // Nothing stands before the first token to predict it from, so it is no target.
  void add(int64_t id, bool target);
};

// One sample, several, or none, by options.max_length and options.overlong; each fate is counted.
EncodedExample fit(WholeSample whole, const EncodeOptions& options);

// A conversation as its chat template, options.chat, writes it: names of special tokens are these tokens where the
// template wrote them. Trained are the answers as options.train_on says, a token that begins inside one of them, and
// what ends them. Where the last answer has no special token at its end, EOS is put there. Throws DataError, as
// rendering and find_answers do.
WholeSample encode_chat(const Tokenizer& tokenizer, const EncodeOptions& options, const Chat& chat);

// The tokens that a model is given to go on from the first `count` messages: as they are in training, BOS in front
// where the template or the tokenizer puts one.
std::vector<int64_t> encode_chat_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat_template, const Chat& chat,
                                        size_t count, const jinja::Date& now);

// The special tokens that end an answer by this template.
std::vector<int64_t> end_of_turn_ids(const Tokenizer& tokenizer, const ChatTemplate& chat_template);

}  // namespace lora
