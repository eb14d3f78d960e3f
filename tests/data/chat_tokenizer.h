#pragma once
// A tokenizer of bytes and of special tokens by name, and samples as a test reads them.

#include <string>
#include <utility>
#include <vector>

#include "lora/data/sample.h"

namespace lora::test {

class ChatTokenizer : public Tokenizer {
 public:
  // BOS and EOS are the first two; an empty name: there is none. Ids: 0..255 bytes, 256 and on the special tokens.
  explicit ChatTokenizer(std::vector<std::string> specials, bool adds_bos = true)
      : specials_(std::move(specials)), adds_bos_(adds_bos) {}

  std::vector<Token> encode(std::string_view text, std::span<const TextRange> special = {}) const override {
    std::vector<Token> tokens;
    for (size_t at = 0; at < text.size(); at = tokens.back().end) tokens.push_back(token_at(text, at, special));
    return tokens;
  }
  std::string decode(const std::vector<int64_t>& ids) const override {
    std::string text;
    for (const int64_t id : ids) {
      if (!is_special(id)) text += piece(id);
    }
    return text;
  }
  std::string piece(int64_t id) const override {
    return is_special(id) ? specials_.at(static_cast<size_t>(id - 256)) : std::string(1, static_cast<char>(id));
  }
  int64_t vocab_size() const override { return 256 + static_cast<int64_t>(specials_.size()); }
  std::optional<int64_t> bos_id() const override { return id_of(specials_[0]); }
  std::optional<int64_t> eos_id() const override { return id_of(specials_[1]); }
  std::optional<int64_t> pad_id() const override { return std::nullopt; }
  bool adds_bos() const override { return adds_bos_ && bos_id().has_value(); }
  bool adds_eos() const override { return false; }
  std::optional<int64_t> id_of(std::string_view name) const override {
    for (size_t i = 0; i < specials_.size(); ++i) {
      if (!name.empty() && specials_[i] == name) return 256 + static_cast<int64_t>(i);
    }
    return std::nullopt;
  }
  bool is_special(int64_t id) const override { return id >= 256; }
  std::vector<std::filesystem::path> files() const override { return files_; }

  std::vector<std::filesystem::path> files_;

 private:
  Token token_at(std::string_view text, size_t at, std::span<const TextRange> special) const {
    for (const TextRange& range : special) {
      for (size_t i = 0; i < specials_.size(); ++i) {
        const size_t end = at + specials_[i].size();
        if (specials_[i].empty() || !text.substr(at).starts_with(specials_[i])) continue;
        if (range.begin <= at && end <= range.end) return {256 + static_cast<int64_t>(i), at, end};
      }
    }
    return {static_cast<unsigned char>(text[at]), at, at + 1};
  }

  std::vector<std::string> specials_;
  bool adds_bos_;
};

// The sample's text with ⟦ and ⟧ around what is trained; special tokens stand in « and », so that they can be told from
// their names.
inline std::string shown(const Sample& sample, const Tokenizer& tokenizer) {
  std::string text;
  bool inside = false;
  for (size_t i = 0; i <= sample.ids.size(); ++i) {
    const bool trained = i < sample.ids.size() && sample.supervised[i] == 1;
    if (trained != inside) text += trained ? "⟦" : "⟧";
    inside = trained;
    if (i == sample.ids.size()) break;
    const std::string piece = tokenizer.piece(sample.ids[i]);
    text += tokenizer.is_special(sample.ids[i]) ? "«" + piece + "»" : piece;
  }
  return text;
}

}  // namespace lora::test
