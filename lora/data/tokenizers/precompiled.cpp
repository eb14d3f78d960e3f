#include "lora/data/tokenizers/precompiled.h"

#include <array>
#include <cstring>

#include "lora/data/tokenizers/unicode.h"

namespace lora {
namespace {

// A character and those that combine with it are looked up together, up to this many bytes.
constexpr size_t kLongestCluster = 5;

std::optional<std::string> from_base64(std::string_view text) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0, count = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == kDigits.npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return bytes;
}

// A unit of the trie: see darts-clone, whose layout SentencePiece stores.
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t label(uint32_t unit) { return unit & ((uint32_t{1} << 31) | 0xFF); }
uint32_t offset(uint32_t unit) { return unit >> 10 << ((unit & (1 << 9)) >> 6); }
uint32_t value(uint32_t unit) { return unit & ((uint32_t{1} << 31) - 1); }

}  // namespace

Precompiled::Precompiled(const JsonView& charsmap) {
  const std::optional<std::string> bytes = from_base64(charsmap.string());
  if (!bytes) charsmap.fail("is not base64");
  uint32_t size = 0;
  if (bytes->size() >= sizeof size) std::memcpy(&size, bytes->data(), sizeof size);
  if (size == 0 || size % 4 != 0 || size > bytes->size() - sizeof size) {
    charsmap.fail("found a trie of " + std::to_string(size) + " bytes in " + std::to_string(bytes->size()));
  }
  units_.resize(size / 4);
  std::memcpy(units_.data(), bytes->data() + sizeof size, size);
  texts_ = bytes->substr(sizeof size + size);
}

std::optional<std::string_view> Precompiled::replacement(std::string_view part) const {
  size_t node = offset(units_[0]);
  for (const char c : part) {
    const auto byte = static_cast<uint8_t>(c);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || label(units_[node]) != byte) return std::nullopt;
    const bool ends = has_leaf(units_[node]);
    node ^= offset(units_[node]);
    if (!ends) continue;
    const size_t at = node < units_.size() ? value(units_[node]) : texts_.size();
    if (at >= texts_.size()) return std::nullopt;
    return std::string_view(texts_).substr(at, texts_.find('\0', at) - at);
  }
  return std::nullopt;
}

void Precompiled::apply(AlignedText& text) const {
  const std::string_view source = text.text();
  TextBuilder built(text);
  for (size_t at = 0; at < source.size();) {
    const size_t end = cluster_end(source, at);
    if (end - at <= kLongestCluster) {
      if (const auto found = replacement(source.substr(at, end - at))) {
        built.put(*found, at);
        at = end;
        continue;
      }
    }
    while (at < end) {
      const size_t length = character_at(source, at).length;
      if (const auto found = replacement(source.substr(at, length))) {
        built.put(*found, at);
      } else {
        built.keep(at, at + length);
      }
      at += length;
    }
  }
  built.finish(text);
}

}  // namespace lora
