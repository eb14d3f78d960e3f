#pragma once
// A text on its way through normalizers, with the place in the original text that each of its bytes came from.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

class AlignedText {
 public:
  AlignedText() = default;
  // `original` must outlive it and its parts, and be shorter than 4 GiB; its first byte stands at `offset`.
  explicit AlignedText(std::string_view original, size_t offset = 0) : original_(original), offset_(offset) {}

  std::string_view text() const { return changed_ ? std::string_view(text_) : original_; }
  // Where byte i came from; of i == size(), where the text ends. Inserted bytes come from where the next kept one does.
  size_t from(size_t i) const { return changed_ ? from_[i] : offset_ + i; }

  // Bytes [begin, end) as a text of their own.
  AlignedText part(size_t begin, size_t end) const;

 private:
  friend class TextBuilder;
  std::string_view original_;
  size_t offset_ = 0;
  bool changed_ = false;
  std::string text_;
  std::vector<uint32_t> from_;  // text_.size() + 1
};

// Makes a text of another one's bytes, from left to right.
class TextBuilder {
 public:
  explicit TextBuilder(const AlignedText& source);
  // Bytes [begin, end) of the source.
  void keep(size_t begin, size_t end);
  // Other bytes, which come from the source's byte `at`.
  void put(std::string_view bytes, size_t at);
  size_t size() const { return text_.size(); }
  // Puts what was built in the place of `text`, which is the source.
  void finish(AlignedText& text);

 private:
  const AlignedText& source_;
  std::string text_;
  std::vector<uint32_t> from_;
};

// Puts U+FFFD where `text` is no UTF-8: one for each longest beginning of a character that breaks off, as Python does.
void repair_utf8(AlignedText& text);

}  // namespace lora
