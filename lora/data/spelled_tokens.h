#pragma once
// Names of special tokens that stand as text: in rows that were made for other tools, in prompts, and in a chat
// template that is of another tokenizer.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lora/data/chat_template.h"
#include "lora/data/tokenizer.h"
#include "lora/data/tokenizers/added_tokens.h"

namespace lora {

// Immutable and thread-safe.
class SpelledTokens {
 public:
  explicit SpelledTokens(const Tokenizer& tokenizer);

  // Adds the names of the tokenizer's special tokens in `text`, each once, in the order in which they come.
  void find(std::string_view text, std::vector<std::string>& names) const;

 private:
  AddedTokens tokens_;
};

// The length of a BOS written out at the start of a text. It would double the BOS that is added. 0 if the tokenizer
// adds none.
size_t spelled_bos(const Tokenizer& tokenizer, std::string_view text);

// The index of the EOS that a row's own text ends with: only white space follows it. tokens.size() if there is none.
size_t own_eos(const Tokenizer& tokenizer, std::string_view text, const std::vector<Token>& tokens);

// For a rendering whose rows may have special tokens: removes a row's special token next to the same one of the
// template, also with white space of the row between them. `by_template`: the ranges that the template wrote. White
// space of the row behind a special token at the end of the text goes too.
void drop_repeated(const Tokenizer& tokenizer, std::string_view text, std::span<const TextRange> by_template,
                   std::vector<Token>& tokens);

// The names such as <|im_start|> that the template writes around a system's, a user's and an assistant's words, and
// that are not tokens of the tokenizer. None for a template that refuses such a conversation.
std::vector<std::string> names_without_token(const ChatTemplate& chat_template, const Tokenizer& tokenizer);

}  // namespace lora
