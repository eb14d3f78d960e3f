#pragma once
// A text that passes through normalizers. Each byte keeps its position in the original text.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

class AlignedText {
 public:
  AlignedText() = default;
  // `original` must outlive it and its parts, and must be shorter than 4 GiB. Its first byte has position `offset`.
  explicit AlignedText(std::string_view original, size_t offset = 0) : original_(original), offset_(offset) {}

  std::string_view text() const { return changed_ ? std::string_view(text_) : original_; }
  // The original position of byte i; for i == size(), of the end. An inserted byte has the position of the next kept
  // byte.
  size_t from(size_t i) const { return changed_ ? from_[i] : offset_ + i; }

  // Bytes [begin, end) as a separate text.
  AlignedText part(size_t begin, size_t end) const;

 private:
  friend class TextBuilder;
  std::string_view original_;
  size_t offset_ = 0;
  bool changed_ = false;
  std::string text_;
  std::vector<uint32_t> from_;  // text_.size() + 1
};

// Normalizers of a downloaded tokenizer.json can multiply a text again and again. A text that passes through them grows
// to at most kMostGrowth bytes for each of the original bytes that are left, and kSmallGrowth more: Unicode's own
// normal forms make up to 11 of one.
constexpr size_t kMostGrowth = 32, kSmallGrowth = size_t{1} << 16;
struct GrownText {};

// Builds a text from the bytes of another one, from left to right.
class TextBuilder {
 public:
  explicit TextBuilder(const AlignedText& source);
  // Appends bytes [begin, end) of the source.
  void keep(size_t begin, size_t end);
  // Appends other bytes with the position of the source's byte `at`. Throws GrownText.
  void put(std::string_view bytes, size_t at);
  size_t size() const { return text_.size(); }
  // Replaces `text`, which must be the source, by the result.
  void finish(AlignedText& text);

 private:
  const AlignedText& source_;
  const size_t most_;
  std::string text_;
  std::vector<uint32_t> from_;
};

// Replaces invalid UTF-8 by U+FFFD: one for each maximal incomplete character, as Python does.
void repair_utf8(AlignedText& text);

}  // namespace lora
