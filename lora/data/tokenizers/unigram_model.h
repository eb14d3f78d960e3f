#pragma once
// The unigram language model of subwords: a word becomes the pieces whose scores have the largest sum, as Viterbi's
// algorithm finds them. Kudo: Subword Regularization, ACL 2018. Unknown characters are as `tokenizers` has them.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lora/data/tokenizers/vocabulary.h"
#include "lora/data/tokenizers/word_cache.h"

namespace lora {

// The pieces of a vocabulary by their beginnings.
class PieceTrie {
 public:
  PieceTrie() = default;
  // Of all pieces that id_of() finds.
  explicit PieceTrie(const Vocabulary& vocabulary);

  // Calls found(length, id) for each piece that `text` begins with, the shortest first.
  template <typename Found>
  void pieces_at(std::string_view text, const Found& found) const {
    uint32_t node = 0;
    for (uint32_t length = 1; length <= text.size(); ++length) {
      node = child(node, static_cast<uint8_t>(text[length - 1]));
      if (node == Vocabulary::kNone) return;
      if (nodes_[node].id != Vocabulary::kNone) found(length, nodes_[node].id);
    }
  }

 private:
  struct Node {
    uint32_t children = 0, count = 0, id = Vocabulary::kNone;
  };
  uint32_t child(uint32_t node, uint8_t byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::vector<uint8_t> bytes_ = std::vector<uint8_t>(1);  // the last byte of each node's text; ascending among siblings
};

struct UnigramOptions {
  std::optional<uint32_t> unk;
  bool byte_fallback = false;  // unknown characters become "<0xE2>", ...
};

// A thread's workspace for encoding.
struct UnigramScratch {
  struct Best {
    double score;
    uint32_t begin, id;
  };
  WordCache cache;
  std::vector<Best> best;  // of the pieces that end at a byte, the last of the best path to there
  std::vector<WordToken> tokens;
};

// Immutable and thread-safe; each thread uses its own scratch.
class Unigram {
 public:
  // `scores` by id.
  Unigram(Vocabulary vocabulary, std::vector<double> scores, const UnigramOptions& options);

  // Calls found(tokens) with all tokens of `word` (valid UTF-8, not empty). Their lengths sum to the word's. Unknown
  // characters in a row are one unknown token. Without an unknown token they are dropped, as Bpe drops them.
  template <typename Found>
  void encode(std::string_view word, UnigramScratch& scratch, const Found& found) const {
    found(tokens_of(word, scratch));
  }

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  std::span<const WordToken> tokens_of(std::string_view word, UnigramScratch& scratch) const;
  void find_best(std::string_view word, UnigramScratch& scratch) const;
  void add_unknown(std::string_view text, std::vector<WordToken>& tokens) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  UnigramOptions options_;
  double unknown_score_ = 0;
  PieceTrie trie_;
  std::vector<uint32_t> bytes_;  // the tokens of bytes; empty: not all are there
};

}  // namespace lora
