#include "lora/data/tokenizers/aligned_text.h"

#include <algorithm>
#include <cstring>

#include "models/base/utf8.h"

namespace lora {
namespace {

constexpr std::string_view kReplacementBytes = "\uFFFD";

// The first non-ASCII byte at or after `at`.
size_t skip_ascii(std::string_view text, size_t at) {
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t bytes = 0;
    std::memcpy(&bytes, text.data() + at, 8);
    if (bytes & 0x8080808080808080u) break;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

size_t first_broken(std::string_view text, size_t at) {
  while ((at = skip_ascii(text, at)) < text.size()) {
    const size_t length = utf8_length(text, at);
    if (length == 0) break;
    at += length;
  }
  return at;
}

// The length of an incomplete character at `at`: of a prefix that more bytes could complete, else 1.
size_t broken_length(std::string_view text, size_t at) {
  constexpr std::string_view kContinuations[] = {"\x80", "\xBF", "\x90", "\x8F", "\xA0", "\x9F"};
  size_t length = 1;
  for (size_t kept = 2; kept <= 3 && at + kept <= text.size(); ++kept) {
    const std::string begin(text.substr(at, kept));
    bool could_be_whole = false;
    for (const auto next : kContinuations) {
      for (const std::string& tried : {begin + std::string(next), begin + std::string(next) + "\x80"}) {
        could_be_whole |= utf8_length(tried, 0) == tried.size();
      }
    }
    if (!could_be_whole) break;
    length = kept;
  }
  return length;
}

}  // namespace

AlignedText AlignedText::part(size_t begin, size_t end) const {
  if (!changed_) return AlignedText(original_.substr(begin, end - begin), offset_ + begin);
  AlignedText part;
  part.changed_ = true;
  part.text_ = text_.substr(begin, end - begin);
  part.from_.assign(from_.begin() + static_cast<std::ptrdiff_t>(begin),
                    from_.begin() + static_cast<std::ptrdiff_t>(end) + 1);
  return part;
}

TextBuilder::TextBuilder(const AlignedText& source)
    : source_(source), most_(kMostGrowth * (source.from(source.text().size()) - source.from(0)) + kSmallGrowth) {
  const size_t expected = source.text().size() + source.text().size() / 2 + 8;
  text_.reserve(expected);
  from_.reserve(expected + 1);
}

void TextBuilder::keep(size_t begin, size_t end) {
  text_.append(source_.text(), begin, end - begin);
  for (size_t i = begin; i < end; ++i) from_.push_back(static_cast<uint32_t>(source_.from(i)));
}

void TextBuilder::put(std::string_view bytes, size_t at) {
  if (text_.size() + bytes.size() > most_) throw GrownText();
  text_.append(bytes);
  from_.insert(from_.end(), bytes.size(), static_cast<uint32_t>(source_.from(at)));
}

void TextBuilder::finish(AlignedText& text) {
  from_.push_back(static_cast<uint32_t>(source_.from(source_.text().size())));
  text.changed_ = true;
  text.text_ = std::move(text_);
  text.from_ = std::move(from_);
}

void repair_utf8(AlignedText& aligned) {
  const std::string_view text = aligned.text();
  size_t broken = first_broken(text, 0);
  if (broken == text.size()) return;
  TextBuilder repaired(aligned);
  for (size_t done = 0; done < text.size();) {
    repaired.keep(done, broken);
    if (broken == text.size()) break;
    repaired.put(kReplacementBytes, broken);
    done = broken + broken_length(text, broken);
    broken = first_broken(text, done);
  }
  repaired.finish(aligned);
}

}  // namespace lora
