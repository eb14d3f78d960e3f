#include "lora/data/tokenizers/added_tokens.h"

#include <algorithm>

#include "lora/data/tokenizers/unicode.h"

namespace lora {
namespace {

bool before(std::string_view a, std::string_view b) { return a < b; }

// The start of the white space that ends at `end`; at least `least`.
size_t spaces_before(std::string_view text, size_t end, size_t least) {
  while (end > least) {
    const size_t begin = character_before(text, end);
    if (begin < least || !is_white_space(character_at(text, begin).code)) break;
    end = begin;
  }
  return end;
}

size_t spaces_behind(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const Character character = character_at(text, begin);
    if (!is_white_space(character.code)) break;
    begin += character.length;
  }
  return begin;
}

bool is_single_word(std::string_view text, size_t begin, size_t end) {
  return (begin == 0 || !is_word_character(character_at(text, character_before(text, begin)).code)) &&
         (end == text.size() || !is_word_character(character_at(text, end).code));
}

}  // namespace

bool inside(std::span<const TextRange> ranges, size_t begin, size_t end) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), begin,
                                      [](size_t value, const TextRange& range) { return value < range.begin; });
  return after != ranges.begin() && end <= std::prev(after)->end;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  std::reverse(tokens_.begin(), tokens_.end());
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const AddedToken& a, const AddedToken& b) { return before(a.content, b.content); });
  const auto same = [](const AddedToken& a, const AddedToken& b) { return a.content == b.content; };
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same), tokens_.end());
  for (size_t i = 0; i < tokens_.size(); ++i) {
    first_bytes_[static_cast<unsigned char>(tokens_[i].content.front())] = true;
    by_id_.emplace(tokens_[i].id, i);
  }
}

const AddedToken* AddedTokens::longest_at(std::string_view text, size_t at) const {
  const AddedToken* longest = nullptr;
  // The tokens that begin with the bytes read so far form a range. A complete token is the first of the range.
  auto low = tokens_.begin(), high = tokens_.end();
  for (size_t length = 0; at + length < text.size(); ++length) {
    const auto byte = [length](const AddedToken& token) { return static_cast<unsigned char>(token.content[length]); };
    const auto sought = static_cast<unsigned char>(text[at + length]);
    low = std::partition_point(low, high, [&](const AddedToken& token) { return byte(token) < sought; });
    high = std::partition_point(low, high, [&](const AddedToken& token) { return byte(token) == sought; });
    if (low == high) break;
    if (low->content.size() == length + 1) {
      longest = &*low++;
      if (low == high) break;
    }
  }
  return longest;
}

std::vector<AddedMatch> AddedTokens::find(std::string_view text,
                                          const std::function<bool(size_t, size_t)>& may_stand) const {
  std::vector<AddedMatch> found;
  if (tokens_.empty()) return found;
  size_t taken = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = first_bytes_[static_cast<unsigned char>(text[at])] ? longest_at(text, at) : nullptr;
    if (!token) {
      ++at;
      continue;
    }
    const size_t begin = at, end = at + token->content.size();
    at = end;  // a match that a rule below rejects is not searched again
    if (token->special && !may_stand(begin, end)) continue;
    if (token->single_word && !is_single_word(text, begin, end)) continue;
    const AddedMatch match{token->lstrip ? spaces_before(text, begin, taken) : begin,
                           token->rstrip ? spaces_behind(text, end) : end, token->id};
    found.push_back(match);
    at = taken = match.end;
  }
  return found;
}

const AddedToken* AddedTokens::by_name(std::string_view name) const {
  const auto found =
      std::lower_bound(tokens_.begin(), tokens_.end(), name,
                       [](const AddedToken& token, std::string_view sought) { return before(token.content, sought); });
  return found != tokens_.end() && found->content == name ? &*found : nullptr;
}

const AddedToken* AddedTokens::by_id(int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace lora
