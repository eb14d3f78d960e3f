#include "lora/data/tokenizers/bpe.h"

#include <algorithm>
#include <bit>
#include <cstdio>

#include "lora/data/tokenizers/unicode.h"

namespace lora {
namespace {

// Up to this length, a linear search over all pairs is faster than a heap.
constexpr size_t kShortWord = 40;
// The memory of a longer word is given back; the thread's next words are short.
constexpr size_t kKeptCandidates = size_t{1} << 16;

uint64_t mix(uint64_t pair) {
  pair *= 0x9E3779B97F4A7C15u;
  return pair ^ pair >> 32;
}

}  // namespace

Bpe::Bpe(Vocabulary vocabulary, const std::vector<BpeMerge>& merges, const BpeOptions& options)
    : vocabulary_(std::move(vocabulary)),
      options_(options),
      merges_(std::bit_ceil(2 * merges.size() + 2), Merge{kFree, 0, 0}) {
  const size_t mask = merges_.size() - 1;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const uint64_t pair = pair_of(merges[rank].left, merges[rank].right);
    size_t slot = mix(pair) & mask;
    while (merges_[slot].pair != kFree && merges_[slot].pair != pair) slot = (slot + 1) & mask;
    merges_[slot] = {pair, static_cast<uint32_t>(rank), merges[rank].merged};
  }
  bytes_.fill(Vocabulary::kNone);
  for (size_t byte = 0; byte < bytes_.size(); ++byte) {
    if (options_.byte_level) {
      const char text = static_cast<char>(byte);
      bytes_[byte] = vocabulary_.id_of({&text, 1});
    } else if (options_.byte_fallback) {
      char name[8];
      std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
      bytes_[byte] = vocabulary_.id_of(name);
    }
  }
  if (options_.byte_level || options_.ignore_merges || !options_.suffix.empty() ||
      vocabulary_.id_of(kSpacePiece) == Vocabulary::kNone)
    return;
  // Converted SentencePiece models see a whole text as one word. If no merged token contains two given characters side
  // by side, no merge crosses that position. The text can be split there, and the parts can be cached.
  cuts_ = true;
  for (const BpeMerge& merge : merges) {
    const std::string_view text = vocabulary_.text(merge.merged);
    for (size_t at = text.find(kSpacePiece, 1); at != text.npos; at = text.find(kSpacePiece, at + kSpacePiece.size())) {
      joined_.insert(character_at(text, character_before(text, at)).code);
    }
  }
}

const Bpe::Merge* Bpe::find(uint32_t left, uint32_t right) const {
  const uint64_t pair = pair_of(left, right);
  const size_t mask = merges_.size() - 1;
  for (size_t slot = mix(pair) & mask;; slot = (slot + 1) & mask) {
    if (merges_[slot].pair == pair) return &merges_[slot];
    if (merges_[slot].pair == kFree) return nullptr;
  }
}

uint32_t Bpe::rank_of(uint32_t left, uint32_t right) const {
  const Merge* merge = find(left, right);
  return merge ? merge->rank : kNoRank;
}

size_t Bpe::safe_cut(std::string_view word, size_t begin) const {
  if (!cuts_) return word.size();
  for (size_t at = word.find(kSpacePiece, begin + 1); at != word.npos;
       at = word.find(kSpacePiece, at + kSpacePiece.size())) {
    if (!joined_.contains(character_at(word, character_before(word, at)).code)) return at;
  }
  return word.size();
}

std::span<const WordToken> Bpe::encode_stretch(std::string_view word, BpeScratch& scratch) const {
  const uint64_t hash = WordCache::hash(word);
  if (const auto* known = scratch.cache.find(word, hash)) return scratch.cache.tokens(*known);
  auto& tokens = scratch.tokens;
  tokens.clear();
  const uint32_t whole = options_.ignore_merges ? vocabulary_.id_of(word) : Vocabulary::kNone;
  if (whole != Vocabulary::kNone) {
    tokens.push_back({whole, static_cast<uint32_t>(word.size())});
  } else {
    begin(word, scratch);
    if (scratch.symbols.size() <= kShortWord) {
      merge_short(scratch);
    } else {
      merge_long(scratch);
    }
    uint32_t done = 0;
    for (const auto& symbol : scratch.symbols) {
      tokens.push_back({symbol.id, symbol.end - done});
      done = symbol.end;
    }
  }
  scratch.cache.insert(word, hash, tokens);
  if (scratch.heap.capacity() > kKeptCandidates) scratch.heap = {};
  if (scratch.symbols.capacity() > kKeptCandidates) scratch.symbols = {};
  return tokens;
}

// Splits `word` into symbols: its characters or bytes.
void Bpe::begin(std::string_view word, BpeScratch& scratch) const {
  auto& symbols = scratch.symbols;
  symbols.clear();
  const auto add = [&](uint32_t id, size_t end) { symbols.push_back({id, static_cast<uint32_t>(end), 0, 0}); };
  if (options_.byte_level) {
    for (size_t at = 0; at < word.size(); ++at) {
      const uint32_t id = !options_.suffix.empty() && at + 1 == word.size()
                              ? vocabulary_.id_of(std::string(1, word[at]) + options_.suffix)
                              : bytes_[static_cast<unsigned char>(word[at])];
      if (id != Vocabulary::kNone) {
        add(id, at + 1);
      } else if (options_.unk && !(options_.fuse_unk && !symbols.empty() && symbols.back().id == *options_.unk)) {
        add(*options_.unk, at + 1);
      } else if (!symbols.empty()) {
        symbols.back().end = static_cast<uint32_t>(at + 1);
      }
    }
    return;
  }
  bool unknown = false;  // the last symbol is unknown
  for (size_t at = 0; at < word.size();) {
    const size_t length = character_at(word, at).length;
    const bool ends = !options_.suffix.empty() && at + length == word.size();
    const std::string ended = ends ? std::string(word.substr(at, length)) + options_.suffix : "";
    const auto character = ends ? std::string_view(ended) : word.substr(at, length);
    const auto has_token = [&](char byte) { return bytes_[static_cast<unsigned char>(byte)] != Vocabulary::kNone; };
    at += length;
    if (const uint32_t id = vocabulary_.id_of(character); id != Vocabulary::kNone) {
      add(id, at);
      unknown = false;
    } else if (std::all_of(character.begin(), character.end(), has_token)) {
      for (size_t i = 0; i < length; ++i) add(bytes_[static_cast<unsigned char>(character[i])], at - length + i + 1);
      unknown = false;
    } else if (options_.unk && !(options_.fuse_unk && unknown)) {
      add(*options_.unk, at);
      unknown = true;
    } else if (!symbols.empty()) {
      symbols.back().end = static_cast<uint32_t>(at);
    }
  }
}

void Bpe::merge_short(BpeScratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& ranks = scratch.ranks;  // rank of each symbol with the next one
  ranks.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) ranks.push_back(rank_of(symbols[i].id, symbols[i + 1].id));
  while (!ranks.empty()) {
    const auto lowest = std::min_element(ranks.begin(), ranks.end());
    if (*lowest == kNoRank) break;
    const size_t i = static_cast<size_t>(lowest - ranks.begin());
    symbols[i] = {find(symbols[i].id, symbols[i + 1].id)->merged, symbols[i + 1].end, 0, 0};
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    ranks.erase(lowest);
    if (i > 0) ranks[i - 1] = rank_of(symbols[i - 1].id, symbols[i].id);
    if (i + 1 < symbols.size()) ranks[i] = rank_of(symbols[i].id, symbols[i + 1].id);
  }
}

void Bpe::merge_long(BpeScratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  constexpr uint32_t kEnd = UINT32_MAX;
  const auto count = static_cast<uint32_t>(symbols.size());
  const auto later = [](const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  heap.clear();
  const auto candidate = [&](uint32_t at) {
    const uint32_t left = symbols[at].id, right = symbols[symbols[at].next].id;
    const uint32_t rank = rank_of(left, right);
    if (rank != kNoRank) heap.push_back({rank, at, left, right});
    return rank != kNoRank;
  };
  for (uint32_t i = 0; i < count; ++i) {
    symbols[i].before = i == 0 ? kEnd : i - 1;
    symbols[i].next = i + 1 == count ? kEnd : i + 1;
  }
  for (uint32_t i = 0; i + 1 < count; ++i) candidate(i);
  std::make_heap(heap.begin(), heap.end(), later);
  const auto push = [&](uint32_t at) {
    if (candidate(at)) std::push_heap(heap.begin(), heap.end(), later);
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const auto best = heap.back();
    heap.pop_back();
    auto& left = symbols[best.at];
    // Skips a stale entry: a symbol that was merged away has no id, and one that grew has another id.
    if (left.id != best.left || left.next == kEnd || symbols[left.next].id != best.right) continue;
    auto& right = symbols[left.next];
    left.id = find(best.left, best.right)->merged;
    left.end = right.end;
    right.id = Vocabulary::kNone;
    left.next = right.next;
    if (left.next != kEnd) symbols[left.next].before = best.at;
    if (left.before != kEnd) push(left.before);
    if (left.next != kEnd) push(best.at);
  }
  std::erase_if(symbols, [](const auto& symbol) { return symbol.id == Vocabulary::kNone; });
}

}  // namespace lora
