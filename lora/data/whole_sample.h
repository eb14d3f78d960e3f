#pragma once
// A row's tokens before the length limit, and how they are made to fit max_length.

#include <set>
#include <string>
#include <vector>

#include "lora/data/chat_template.h"
#include "lora/data/sample.h"

namespace lora {

struct WholeSample {
  Sample sample;
  bool has_bos = false;               // at the front
  bool is_answer = false;             // needs an end
  std::vector<int64_t> end_ids = {};  // these tokens, if trained, end an answer
  SourceCounts counts = {};           // of what the chat template lost
  std::set<std::string> unread = {};  // keys of messages that the chat template does not look at

  // The first token is never a target, because no token precedes it.
  void add(int64_t id, bool target);
};

// Whether the sample has a target; one of these ids among its targets; no target but these ids.
bool trains(const Sample& sample);
bool trains_one_of(const Sample& sample, const std::vector<int64_t>& ids);
bool trains_none_but(const Sample& sample, const std::vector<int64_t>& ids);

// Without the length limit, of a conversation, a prompt with its answer, or a text.
WholeSample encode_whole(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example);

// Names the keys of `whole.unread` in `encoded.unread`, as people know them: "message.name".
void note_unread(const WholeSample& whole, EncodedExample& encoded);

// Applies options.max_length and options.overlong. Returns one sample, several or none; every case is counted.
EncodedExample fit(WholeSample whole, const EncodeOptions& options);

// Renders a conversation by its chat template, options.chat, and tokenises it. Names of special tokens become these
// tokens only where the template wrote them. Trained tokens: those that begin inside an answer selected by
// options.train_on, and the answer's end; or all but the answers and the words of messages that are marked as not
// trained. If the last answer has no special token at its end, EOS is added. Throws DataError as rendering, lost_parts
// and find_answers do.
WholeSample encode_chat(const Tokenizer& tokenizer, const EncodeOptions& options, const Chat& chat);

// The tokens from which a model continues after the first `count` messages. They are the same as in training, including
// BOS if the template or the tokenizer adds it. `unread`, where it is given, gains the keys that ChatTemplate::render
// tells, and "tools" where the template writes nothing of the conversation's tools.
std::vector<int64_t> encode_chat_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat_template, const Chat& chat,
                                        size_t count, const jinja::Date& now, bool allow_special_tokens = false,
                                        std::set<std::string>* unread = nullptr);

// The special tokens that end an answer in this template.
std::vector<int64_t> end_of_turn_ids(const Tokenizer& tokenizer, const ChatTemplate& chat_template);

}  // namespace lora
