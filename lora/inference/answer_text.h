#pragma once
// The text of an answer while its tokens come: whole characters, and without a text that ends it.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lora/data/tokenizer.h"

namespace lora {

class AnswerText {
 public:
  // `stops`: see stop_text.h. Borrows the tokenizer.
  AnswerText(const Tokenizer& tokenizer, std::span<const int64_t> prompt, std::vector<std::string> stops);

  // What the token adds that can be shown by now. What may be the beginning of a stop text, or of a character, waits.
  std::string add(int64_t id);
  // Whether a stop text came: nothing that follows counts.
  bool is_stopped() const { return is_stopped_; }
  // At the end of the answer: what has waited. Bytes that are no character are U+FFFD.
  std::string rest();

 private:
  std::string pending_text() const;
  std::string release(const std::string& text, bool all);

  const Tokenizer& tokenizer_;
  std::vector<std::string> stops_;
  // A window on the tokens: what lies before `shown_` is context, since a tokenizer decodes a text's first word in
  // another way.
  std::vector<int64_t> window_;
  size_t shown_ = 0;
  std::string held_;
  bool is_stopped_ = false;
};

}  // namespace lora
