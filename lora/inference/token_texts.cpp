#include "lora/inference/token_texts.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "lora/inference/json_places.h"
#include "models/base/error.h"
#include "models/base/utf8.h"

namespace lora {
namespace {

// A letter that is a token, to decode others behind it.
std::optional<int64_t> find_letter(const Tokenizer& tokenizer, int64_t count) {
  for (int64_t id = 0; id < count; ++id) {
    const std::string piece = tokenizer.piece(id);
    if (piece.size() == 1 && piece[0] >= 'a' && piece[0] <= 'z' && tokenizer.decode({id}) == piece) return id;
  }
  return std::nullopt;
}

// What each token adds behind another one. Bytes that are no characters cannot be decoded alone: their pieces count.
std::vector<std::string> added_texts(const Tokenizer& tokenizer, int64_t count) {
  std::vector<std::string> texts(static_cast<size_t>(count));
  const auto letter = find_letter(tokenizer, count);
  if (!letter) return texts;
  const std::string before = tokenizer.decode({*letter});
  for (int64_t id = 0; id < count; ++id) {
    if (tokenizer.is_special(id)) continue;
    std::string piece = tokenizer.piece(id);
    if (piece.size() > std::numeric_limits<uint16_t>::max()) continue;
    if (!is_utf8(piece) || tokenizer.decode({*letter, id}) == before + piece) {
      texts[static_cast<size_t>(id)] = std::move(piece);
    }
  }
  return texts;
}

// Nothing for a token that ends the string, or cannot stand in it.
std::optional<InnerToken> inner_token(const std::string& text, int64_t id, bool& closes) {
  InnerToken token{0, id, false};
  JsonCharacter at = JsonCharacter::kNone;
  closes = false;
  for (const char c : text) {
    token.characters += at == JsonCharacter::kNone;
    at = next_in_string(at, static_cast<unsigned char>(c));
    token.escapes |= at == JsonCharacter::kEscape;
    closes = at == JsonCharacter::kClosed;
    if (closes || at == JsonCharacter::kWrong) return std::nullopt;
  }
  return token;
}

}  // namespace

TokenTrie::TokenTrie(std::span<const std::pair<std::string, int64_t>> texts) {
  std::vector<size_t> open;  // nodes of the text before, by depth
  const auto close = [&](size_t depth) {
    for (; open.size() > depth; open.pop_back()) nodes_[open.back()].end = static_cast<uint32_t>(nodes_.size());
  };
  const std::string* before = nullptr;
  for (const auto& [text, id] : texts) {
    size_t shared = 0;
    while (before && shared < std::min(before->size(), text.size()) && (*before)[shared] == text[shared]) ++shared;
    close(shared);
    for (size_t depth = shared; depth < text.size(); ++depth) {
      open.push_back(nodes_.size());
      nodes_.push_back({0, static_cast<uint32_t>(ids_.size()), 0, static_cast<uint16_t>(depth + 1),
                        static_cast<unsigned char>(text[depth])});
    }
    ids_.push_back(id);
    ++nodes_[open.back()].tokens;
    depth_ = std::max(depth_, text.size());
    before = &text;
  }
  close(0);
}

TokenTexts::TokenTexts(const Tokenizer& tokenizer, int64_t rows)
    : texts_(added_texts(tokenizer, std::min(rows, tokenizer.vocab_size()))) {
  std::array<bool, 256> is_token{};
  for (const std::string& text : texts_) {
    if (text.size() == 1) is_token[static_cast<unsigned char>(text[0])] = true;
  }
  for (int byte = ' '; byte <= '~'; ++byte) {
    if (is_token[static_cast<size_t>(byte)]) continue;
    throw ModelError(
        "answers of JSON need a token for each printable character of ASCII; the tokenizer has none for '" +
        std::string(1, static_cast<char>(byte)) + "'");
  }
  has_all_bytes_ = true;
  for (size_t byte = 0x80; byte <= 0xF4; ++byte) has_all_bytes_ &= is_token[byte] || byte == 0xC0 || byte == 0xC1;

  std::vector<std::pair<std::string, int64_t>> all, closing;
  for (size_t i = 0; i < texts_.size(); ++i) {
    std::string& text = texts_[i];
    const auto id = static_cast<int64_t>(i);
    if (!has_all_bytes_ && !is_utf8(text)) text.clear();
    if (text.empty()) continue;
    all.emplace_back(text, id);
    bool closes = false;
    if (const auto inner = inner_token(text, id, closes)) inner_.push_back(*inner);
    if (closes) closing.emplace_back(text, id);
  }
  std::ranges::sort(all);
  std::ranges::sort(closing);
  std::ranges::stable_sort(inner_, {}, &InnerToken::characters);
  all_ = TokenTrie(all);
  closing_ = TokenTrie(closing);
}

}  // namespace lora
