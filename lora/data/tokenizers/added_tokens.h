#pragma once
// Tokens that are found in the text before the model sees it: special tokens, and words added to a vocabulary.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lora/data/tokenizer.h"

namespace lora {

// One entry of `added_tokens`, by Hugging Face's names.
struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool single_word = false;  // not where a letter, digit, mark or '_' stands beside it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and behind it
  bool normalized = false;   // is looked for in the normalized text
  bool special = false;      // a control token: dropped in decoding, plain text outside the given ranges
};

// Where a token was found: bytes [begin, end), with the white space that it takes along.
struct AddedMatch {
  size_t begin;
  size_t end;
  int64_t id;
};

class AddedTokens {
 public:
  AddedTokens() = default;
  // Of two tokens with the same content the later one is taken; empty ones are left out.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // The tokens in `text` (valid UTF-8 or not), from left to right, the longest at each place. One that is special and
  // for which may_stand(begin, end) says no is plain text.
  std::vector<AddedMatch> find(std::string_view text, const std::function<bool(size_t, size_t)>& may_stand) const;

  const AddedToken* by_name(std::string_view name) const;
  const AddedToken* by_id(int64_t id) const;
  const std::vector<AddedToken>& tokens() const { return tokens_; }  // sorted by content
  bool empty() const { return tokens_.empty(); }

 private:
  const AddedToken* longest_at(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;
  std::vector<bool> first_bytes_ = std::vector<bool>(256);
  std::unordered_map<int64_t, size_t> by_id_;
};

// Whether [begin, end) lies in one of `ranges` (sorted, disjoint).
bool inside(std::span<const TextRange> ranges, size_t begin, size_t end);

}  // namespace lora
