#include "lora/data/tokenizers/unigram_model.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "lora/data/tokenizers/unicode.h"

namespace lora {
namespace {

// How much less an unknown character scores than the least likely piece; SentencePiece's and tokenizers' value.
constexpr double kUnknownPenalty = 10;

}  // namespace

PieceTrie::PieceTrie(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, uint32_t>> pieces;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view text = vocabulary.text(id);
    if (!text.empty() && vocabulary.id_of(text) == id) pieces.emplace_back(text, id);
  }
  std::ranges::sort(pieces);
  // Level by level, so that a node's children lie side by side. A node's text is the first `depth` bytes of its pieces.
  struct Range {
    size_t first, last, depth;
  };
  std::vector<Range> ranges = {{0, pieces.size(), 0}};
  for (uint32_t node = 0; node < nodes_.size(); ++node) {
    auto [first, last, depth] = ranges[node];
    if (first < last && pieces[first].first.size() == depth) nodes_[node].id = pieces[first++].second;
    nodes_[node].children = static_cast<uint32_t>(nodes_.size());
    while (first < last) {
      const char byte = pieces[first].first[depth];
      size_t next = first;
      while (next < last && pieces[next].first[depth] == byte) ++next;
      nodes_.emplace_back();
      bytes_.push_back(static_cast<uint8_t>(byte));
      ranges.push_back({first, next, depth + 1});
      ++nodes_[node].count;
      first = next;
    }
  }
}

uint32_t PieceTrie::child(uint32_t node, uint8_t byte) const {
  const auto begin = bytes_.begin() + nodes_[node].children, end = begin + nodes_[node].count;
  const auto found = std::lower_bound(begin, end, byte);
  return found != end && *found == byte ? static_cast<uint32_t>(found - bytes_.begin()) : Vocabulary::kNone;
}

Unigram::Unigram(Vocabulary vocabulary, std::vector<double> scores, const UnigramOptions& options)
    : vocabulary_(std::move(vocabulary)), scores_(std::move(scores)), options_(options), trie_(vocabulary_) {
  if (!scores_.empty()) unknown_score_ = *std::ranges::min_element(scores_) - kUnknownPenalty;
  if (!options_.byte_fallback) return;
  for (unsigned byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    bytes_.push_back(vocabulary_.id_of(name));
  }
}

void Unigram::find_best(std::string_view word, UnigramScratch& scratch) const {
  constexpr uint32_t kNowhere = UINT32_MAX;
  std::vector<UnigramScratch::Best>& best = scratch.best;
  best.assign(word.size() + 1, {0, kNowhere, Vocabulary::kNone});
  for (size_t at = 0; at < word.size();) {
    const size_t character = character_at(word, at).length;
    const auto offer = [&](size_t length, uint32_t id, double score) {
      UnigramScratch::Best& end = best[at + length];
      if (end.begin != kNowhere && best[at].score + score <= end.score) return;
      end = {best[at].score + score, static_cast<uint32_t>(at), id};
    };
    bool known = false;
    trie_.pieces_at(word.substr(at), [&](uint32_t length, uint32_t id) {
      offer(length, id, scores_[id]);
      known |= length == character;
    });
    if (!known) offer(character, Vocabulary::kNone, unknown_score_);
    at += character;
  }
}

void Unigram::add_unknown(std::string_view text, std::vector<WordToken>& tokens) const {
  const auto token_of = [&](char c) { return bytes_[static_cast<uint8_t>(c)]; };
  if (!bytes_.empty() && std::ranges::none_of(text, [&](char c) { return token_of(c) == Vocabulary::kNone; })) {
    for (const char c : text) tokens.push_back({token_of(c), 1});
  } else if (options_.unk) {
    tokens.push_back({*options_.unk, static_cast<uint32_t>(text.size())});
  } else if (!tokens.empty()) {
    tokens.back().length += static_cast<uint32_t>(text.size());
  }
}

std::span<const WordToken> Unigram::tokens_of(std::string_view word, UnigramScratch& scratch) const {
  const uint64_t hash = WordCache::hash(word);
  if (const WordCache::Slot* slot = scratch.cache.find(word, hash)) return scratch.cache.tokens(*slot);
  find_best(word, scratch);
  // From the end back: where the pieces of the best path begin.
  std::vector<WordToken>& tokens = scratch.tokens;
  tokens.clear();
  for (auto end = static_cast<uint32_t>(word.size()); end > 0; end = scratch.best[end].begin) {
    const auto [score, begin, id] = scratch.best[end];
    const bool joins = id == Vocabulary::kNone && !tokens.empty() && tokens.back().id == id;
    if (!joins) tokens.push_back({id, 0});
    tokens.back().length += end - begin;
  }
  std::ranges::reverse(tokens);
  if (std::ranges::count(tokens, Vocabulary::kNone, &WordToken::id) > 0) {
    std::vector<WordToken> known;
    size_t at = 0;
    for (const WordToken& token : tokens) {
      if (token.id == Vocabulary::kNone) {
        add_unknown(word.substr(at, token.length), known);
      } else {
        known.push_back(token);
      }
      at += token.length;
    }
    tokens = std::move(known);
  }
  scratch.cache.insert(word, hash, tokens);
  return tokens;
}

}  // namespace lora
