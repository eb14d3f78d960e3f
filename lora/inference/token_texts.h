#pragma once
// The bytes that each token of a vocabulary writes, in a trie: what is next in a text is looked up byte by byte for all
// tokens at once. Special tokens write nothing, and neither does one whose text depends on the tokens around it.

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lora/data/tokenizer.h"

namespace lora {

class TokenTrie {
 public:
  struct Node {
    uint32_t end;            // behind its last descendant; its first follows it
    uint32_t first, tokens;  // those whose last byte this is
    uint16_t depth;          // 1: the first byte
    unsigned char byte;
  };
  TokenTrie() = default;
  // `texts`: bytes and ids, sorted.
  explicit TokenTrie(std::span<const std::pair<std::string, int64_t>> texts);

  // Each before its descendants.
  const std::vector<Node>& nodes() const { return nodes_; }
  std::span<const int64_t> tokens(const Node& node) const { return {ids_.data() + node.first, node.tokens}; }
  size_t depth() const { return depth_; }

 private:
  std::vector<Node> nodes_;
  std::vector<int64_t> ids_;
  size_t depth_ = 0;
};

// A token that lies within a string of JSON, wherever that stands between two characters.
struct InnerToken {
  int64_t characters;  // that begin in it; of an escape one
  int64_t id;
  bool escapes;
};

// Immutable: any thread.
class TokenTexts {
 public:
  // Of the ids in [0, rows). Throws ModelError where not every printable character of ASCII is a token: then a value
  // could come to an end from which no token leads on. Takes about a microsecond a token.
  TokenTexts(const Tokenizer& tokenizer, int64_t rows);

  // Empty: the token writes nothing.
  const std::string& text(int64_t id) const { return texts_.at(static_cast<size_t>(id)); }
  // Whether each byte beyond ASCII is a token. Otherwise no token has a part of a character.
  bool has_all_bytes() const { return has_all_bytes_; }

  const TokenTrie& all() const { return all_; }
  // Tokens that end a string of JSON which they find between two characters, and those that do not, the shortest first.
  const TokenTrie& closing() const { return closing_; }
  std::span<const InnerToken> inner() const { return inner_; }

 private:
  std::vector<std::string> texts_;
  bool has_all_bytes_ = false;
  TokenTrie all_, closing_;
  std::vector<InnerToken> inner_;
};

}  // namespace lora
