#include "lora/data/render.h"

#include <utility>

#include "models/base/utf8.h"

namespace lora {
namespace {

std::string printable(const std::string& text) {
  std::string shown;
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    const auto byte = static_cast<unsigned char>(text[at]);
    if (length == 0) {
      shown += "\uFFFD";
    } else if (byte == '\n') {
      shown += "↵\n";
    } else if (byte == '\t') {
      shown += '\t';
    } else if (byte < 0x20) {
      shown += "\xe2\x90";  // U+2400 + c is the picture of control character c
      shown += static_cast<char>(0x80 + byte);
    } else if (byte == 0x7f) {
      shown += "\u2421";
    } else if (byte == 0xc2 && static_cast<unsigned char>(text[at + 1]) < 0xa0) {
      shown += "\uFFFD";  // C1 controls have no pictures
    } else {
      shown.append(text, at, length);
    }
    at += length == 0 ? 1 : length;
  }
  return shown;
}

// True if the text does not end with an incomplete character.
bool ends_whole(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    const bool begins = length == 0 && static_cast<unsigned char>(text[at]) >= 0xC2;
    if (begins && text.size() - at < 4) return false;
    at += length == 0 ? 1 : length;
  }
  return true;
}

}  // namespace

std::string render_sample(const SampleView& sample, const Tokenizer& tokenizer, bool colour,
                          const std::string& between) {
  if (const auto second = static_cast<size_t>(sample.fork.second); second != 0) {
    const SampleView chosen{sample.ids.first(second), sample.supervised.first(second), kNoLabel};
    const SampleView rejected{sample.ids.subspan(second), sample.supervised.subspan(second), kNoLabel};
    return render_sample(chosen, tokenizer, colour, between) +
           "\n  rejected: " + render_sample(rejected, tokenizer, colour, between);
  }
  const std::string open = colour ? "\x1b[2m" : "⟦";
  const std::string close = colour ? "\x1b[0m" : "⟧";
  std::string shown;
  for (size_t begin = 0; begin < sample.ids.size();) {
    const bool masked = !sample.supervised[begin];
    std::string run, characters;  // characters: text that may still end in an incomplete character
    size_t end = begin;
    for (; end < sample.ids.size() && (sample.supervised[end] == 0) == masked; ++end) {
      characters += tokenizer.piece(sample.ids[end]);
      if (between.empty() || !ends_whole(characters)) continue;
      run += printable(std::exchange(characters, {}));
      if (end + 1 < sample.ids.size()) run += between;
    }
    run += printable(characters);
    shown += masked ? open + run + close : run;
    begin = end;
  }
  return shown;
}

}  // namespace lora
