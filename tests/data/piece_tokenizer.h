#pragma once
// A tokenizer that a test can follow by eye: the longest known piece at each place, else one token a byte.

#include <string>
#include <utility>
#include <vector>

#include "lora/data/tokenizer.h"

namespace lora::test {

// Ids: 0..255 bytes, 256 BOS "<s>", 257 EOS "</s>", 258 and on the pieces in order.
class PieceTokenizer : public Tokenizer {
 public:
  static constexpr int64_t kBos = 256, kEos = 257, kFirstPiece = 258;

  explicit PieceTokenizer(std::vector<std::string> pieces = {}, bool specials = true)
      : pieces_(std::move(pieces)), specials_(specials) {}

  std::vector<Token> encode(std::string_view text, std::span<const TextRange> special = {}) const override {
    std::vector<Token> tokens;
    for (size_t at = 0; at < text.size();) {
      if (const auto token = special_at(text, at, special)) {
        tokens.push_back(*token);
        at = token->end;
        continue;
      }
      Token token{static_cast<unsigned char>(text[at]), at, at + 1};
      for (size_t i = 0; i < pieces_.size(); ++i) {
        if (text.substr(at).starts_with(pieces_[i]) && at + pieces_[i].size() > token.end) {
          token = {kFirstPiece + static_cast<int64_t>(i), at, at + pieces_[i].size()};
        }
      }
      tokens.push_back(token);
      at = token.end;
    }
    return tokens;
  }

  std::string decode(const std::vector<int64_t>& ids) const override {
    std::string text;
    for (const int64_t id : ids) {
      if (id != kBos && id != kEos) text += piece(id);
    }
    return text;
  }

  std::string piece(int64_t id) const override {
    if (id == kBos) return "<s>";
    if (id == kEos) return "</s>";
    return id < kBos ? std::string(1, static_cast<char>(id)) : pieces_.at(static_cast<size_t>(id - kFirstPiece));
  }

  int64_t vocab_size() const override { return kFirstPiece + static_cast<int64_t>(pieces_.size()); }
  std::optional<int64_t> bos_id() const override { return specials_ ? std::optional(kBos) : std::nullopt; }
  std::optional<int64_t> eos_id() const override { return specials_ ? std::optional(kEos) : std::nullopt; }
  std::optional<int64_t> pad_id() const override { return std::nullopt; }
  bool adds_bos() const override { return specials_; }
  bool adds_eos() const override { return false; }
  std::optional<int64_t> id_of(std::string_view name) const override {
    for (const int64_t id : {kBos, kEos}) {
      if (specials_ && name == piece(id)) return id;
    }
    return std::nullopt;
  }
  bool is_special(int64_t id) const override { return specials_ && (id == kBos || id == kEos); }
  std::vector<std::filesystem::path> files() const override { return {}; }

 private:
  std::optional<Token> special_at(std::string_view text, size_t at, std::span<const TextRange> special) const {
    for (const int64_t id : {kBos, kEos}) {
      const size_t end = at + piece(id).size();
      if (!specials_ || !text.substr(at).starts_with(piece(id))) continue;
      for (const TextRange& range : special) {
        if (range.begin <= at && end <= range.end) return Token{id, at, end};
      }
    }
    return std::nullopt;
  }

  std::vector<std::string> pieces_;
  bool specials_;
};

}  // namespace lora::test
