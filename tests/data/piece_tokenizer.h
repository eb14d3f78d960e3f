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

  std::vector<Token> encode(std::string_view text) const override {
    std::vector<Token> tokens;
    for (size_t at = 0; at < text.size();) {
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
  std::vector<std::filesystem::path> files() const override { return {}; }

 private:
  std::vector<std::string> pieces_;
  bool specials_;
};

}  // namespace lora::test
