#pragma once
// Tokens that are found in the text before the model: special tokens, and words added to a vocabulary.

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

// One entry of `added_tokens`, with Hugging Face's names.
struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool single_word = false;  // does not match next to a letter, digit, mark or '_'
  bool lstrip = false;       // includes the white space before it
  bool rstrip = false;       // includes the white space after it
  bool normalized = false;   // is searched in the normalized text
  bool special = false;      // a control token: dropped in decoding, ordinary text outside the given ranges
};

// A token's position: bytes [begin, end), including its white space.
struct AddedMatch {
  size_t begin;
  size_t end;
  int64_t id;
};

class AddedTokens {
 public:
  AddedTokens() = default;
  // For tokens with the same content, the last one counts. Empty ones are dropped.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // The tokens in `text` (any bytes), from left to right, the longest at each position. A special token for which
  // may_stand(begin, end) is false is ordinary text.
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

// True if [begin, end) lies in one of `ranges` (sorted, disjoint).
bool inside(std::span<const TextRange> ranges, size_t begin, size_t end);

}  // namespace lora
