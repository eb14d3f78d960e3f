#pragma once
// Byte pair encoding: in a word, merges the adjacent pair with the lowest rank (learned earliest) first, and the
// leftmost of equal pairs. Sennrich et al.: Neural Machine Translation of Rare Words with Subword Units, ACL 2016.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "lora/data/tokenizers/vocabulary.h"
#include "lora/data/tokenizers/word_cache.h"

namespace lora {

struct BpeMerge {
  uint32_t left, right, merged;
};

struct BpeOptions {
  bool byte_level = false;     // starts from bytes instead of characters
  bool byte_fallback = false;  // a character without a token becomes "<0xE2>", ...
  bool fuse_unk = false;       // consecutive unknown characters become one token
  bool ignore_merges = false;  // a word that is in the vocabulary is one token; merges are not applied
  std::optional<uint32_t> unk;
  std::string suffix = {};  // stands behind the last character of a word: "</w>"
};

// A thread's workspace for encoding.
struct BpeScratch {
  struct Symbol {
    uint32_t id, end, before, next;
  };
  struct Candidate {
    uint32_t rank, at, left, right;
  };
  WordCache cache;
  std::vector<Symbol> symbols;
  std::vector<uint32_t> ranks;
  std::vector<Candidate> heap;
  std::vector<WordToken> tokens;
};

// Immutable and thread-safe; each thread uses its own scratch.
class Bpe {
 public:
  // `merges` in order of rank; the last of equal pairs counts. Every id must be in `vocabulary`.
  Bpe(Vocabulary vocabulary, const std::vector<BpeMerge>& merges, const BpeOptions& options);

  // Calls found(tokens) for parts of `word` (valid UTF-8, not empty) from left to right. The lengths of all tokens sum
  // to the word's. Without an unknown token, a character without a token is dropped, and its bytes count for a
  // neighbouring token. A word of only such characters has no tokens.
  template <typename Found>
  void encode(std::string_view word, BpeScratch& scratch, const Found& found) const {
    for (size_t begin = 0; begin < word.size();) {
      const size_t end = safe_cut(word, begin);
      found(encode_stretch(word.substr(begin, end - begin), scratch));
      begin = end;
    }
  }

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Merge {
    uint64_t pair;  // kFree: empty slot
    uint32_t rank, merged;
  };
  static constexpr uint64_t kFree = UINT64_MAX;
  static constexpr uint32_t kNoRank = UINT32_MAX;

  static uint64_t pair_of(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }
  const Merge* find(uint32_t left, uint32_t right) const;
  uint32_t rank_of(uint32_t left, uint32_t right) const;

  size_t safe_cut(std::string_view word, size_t begin) const;
  std::span<const WordToken> encode_stretch(std::string_view word, BpeScratch& scratch) const;
  void begin(std::string_view word, BpeScratch& scratch) const;
  void merge_short(BpeScratch& scratch) const;
  void merge_long(BpeScratch& scratch) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  std::vector<Merge> merges_;            // open addressing; the size is a power of two
  std::array<uint32_t, 256> bytes_{};    // the token of a single byte, or "<0x..>"
  bool cuts_ = false;                    // words may be split before "▁"
  std::unordered_set<uint32_t> joined_;  // but not after these characters
};

}  // namespace lora
