#include "lora/data/tokenizers/normalizer.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "lora/data/tokenizers/precompiled.h"
#include "lora/data/tokenizers/unicode.h"
#include "models/base/did_you_mean.h"

namespace lora {
namespace {

void replace(AlignedText& text, const Pattern& pattern, const std::string& content, PatternScratch& scratch) {
  const std::string_view source = text.text();
  auto match = pattern.next(source, 0, scratch);
  if (!match) return;
  TextBuilder built(text);
  size_t done = 0;
  while (match) {
    built.keep(done, match->begin);
    built.put(content, match->begin);
    done = match->end;
    size_t next = match->end;
    if (match->begin == match->end) {  // an empty match: continue after the next character
      if (next == source.size()) break;
      next += character_at(source, next).length;
    }
    match = pattern.next(source, next, scratch);
  }
  built.keep(done, source.size());
  built.finish(text);
}

// Calls change(character, begin, built) for every character. It returns false to keep the character.
template <typename Change>
void map_characters(AlignedText& text, const Change& change) {
  const std::string_view source = text.text();
  TextBuilder built(text);
  for (size_t at = 0; at < source.size();) {
    const Character character = character_at(source, at);
    if (!change(character.code, at, built)) built.keep(at, at + character.length);
    at += character.length;
  }
  built.finish(text);
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

void lowercase(AlignedText& text, PatternScratch&) {
  map_characters(text, [](char32_t code, size_t at, TextBuilder& built) {
    const std::string lower = to_lowercase(code);
    if (lower.empty()) return false;
    built.put(lower, at);
    return true;
  });
}

void strip_accents(AlignedText& text, PatternScratch&) {
  map_characters(text, [](char32_t code, size_t, TextBuilder&) { return is_mark(code); });
}

// As BERT cleans a text: without control characters, and with a space for each white space.
void clean(AlignedText& text, PatternScratch&) {
  map_characters(text, [](char32_t code, size_t at, TextBuilder& built) {
    if (code == '\t' || code == '\n' || code == '\r' || (is_white_space(code) && !is_control(code))) {
      built.put(" ", at);
      return true;
    }
    return code == kReplacement || is_control(code);
  });
}

// Puts a space on each side of a Chinese character.
void space_chinese(AlignedText& text, PatternScratch&) {
  map_characters(text, [](char32_t code, size_t at, TextBuilder& built) {
    const bool chinese = (code >= 0x3400 && code <= 0x4DBF) || (code >= 0x4E00 && code <= 0x9FFF) ||
                         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x20000 && code <= 0x2A6DF) ||
                         (code >= 0x2A700 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
                         (code >= 0x2F800 && code <= 0x2FA1F);
    if (!chinese) return false;
    std::string spaced = " ";
    append_character(spaced, code);
    built.put(spaced + " ", at);
    return true;
  });
}

void strip(AlignedText& text, bool left, bool right) {
  const std::string_view source = text.text();
  size_t begin = 0, end = source.size();
  while (left && begin < end) {
    const Character character = character_at(source, begin);
    if (!is_white_space(character.code)) break;
    begin += character.length;
  }
  while (right && end > begin) {
    const size_t last = character_before(source, end);
    if (!is_white_space(character_at(source, last).code)) break;
    end = last;
  }
  if (begin == 0 && end == source.size()) return;
  TextBuilder built(text);
  built.keep(begin, end);
  built.finish(text);
}

// Appends the normal form of the segment [begin, end) of `source`. The origin of each new character is an estimate:
// composed characters come first, and the others keep their order.
void put_normal(std::string_view normal, std::string_view source, size_t begin, size_t end, NormalForm form,
                TextBuilder& built) {
  std::vector<size_t> places;  // origin of each character
  const bool composes = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  for (size_t at = begin; at < end;) {
    const size_t length = character_at(source, at).length;
    places.insert(places.end(), composes ? 1 : count_characters(normalized(source.substr(at, length), form)), at);
    at += length;
  }
  const size_t count = count_characters(normal);
  for (size_t at = 0, i = 0; at < normal.size(); ++i) {
    const size_t length = character_at(normal, at).length;
    const size_t place =
        i == 0 || places.size() + i < count ? 0 : std::min(places.size() + i - count, places.size() - 1);
    built.put(normal.substr(at, length), places[place]);
    at += length;
  }
}

// Normalizes one segment at a time, from one starter to the next. No normalization crosses a segment.
void normalize(AlignedText& text, NormalForm form) {
  const std::string_view source = text.text();
  size_t at = first_not_normal(source, 0, form);
  if (at == source.size()) return;
  TextBuilder built(text);
  size_t done = 0;
  while (at < source.size()) {
    const size_t end = stretch_end(source, at);
    const std::string_view stretch = source.substr(at, end - at);
    const std::string normal = normalized(stretch, form);
    if (normal != stretch) {
      built.keep(done, at);
      put_normal(normal, source, at, end, form, built);
      done = end;
    }
    at = first_not_normal(source, end, form);
  }
  if (done == 0) return;
  built.keep(done, source.size());
  built.finish(text);
}

void add_steps(const JsonView& object, std::vector<Normalizer>& steps) {
  const std::string& type = object.at("type").string();
  const auto unicode = [&](NormalForm form) {
    steps.push_back([form](AlignedText& text, PatternScratch&) { normalize(text, form); });
  };
  if (type == "Sequence") {
    for (const JsonView& step : object.at("normalizers").elements()) {
      if (step.at("type").string() == "Sequence") step.fail("a Sequence inside a Sequence is not supported");
      add_steps(step, steps);
    }
  } else if (type == "NFC") {
    unicode(NormalForm::kNfc);
  } else if (type == "NFD") {
    unicode(NormalForm::kNfd);
  } else if (type == "NFKC") {
    unicode(NormalForm::kNfkc);
  } else if (type == "NFKD") {
    unicode(NormalForm::kNfkd);
  } else if (type == "Lowercase") {
    steps.emplace_back(lowercase);
  } else if (type == "StripAccents") {
    steps.emplace_back(strip_accents);
  } else if (type == "BertNormalizer") {
    const bool lower = object.boolean_or("lowercase", true);
    if (object.boolean_or("clean_text", true)) steps.emplace_back(clean);
    if (object.boolean_or("handle_chinese_chars", true)) steps.emplace_back(space_chinese);
    if (object.boolean_or("strip_accents", lower)) {
      unicode(NormalForm::kNfd);
      steps.push_back([](AlignedText& text, PatternScratch&) {
        map_characters(text, [](char32_t code, size_t, TextBuilder&) { return is_nonspacing_mark(code); });
      });
    }
    if (lower) steps.emplace_back(lowercase);
  } else if (type == "Strip") {
    const bool left = object.boolean_or("strip_left", true), right = object.boolean_or("strip_right", true);
    steps.push_back([left, right](AlignedText& text, PatternScratch&) { strip(text, left, right); });
  } else if (type == "Prepend") {
    steps.push_back([content = object.at("prepend").string()](AlignedText& text, PatternScratch&) {
      if (text.text().empty()) return;
      TextBuilder built(text);
      built.put(content, 0);
      built.keep(0, text.text().size());
      built.finish(text);
    });
  } else if (type == "Replace") {
    steps.push_back([pattern = Pattern::read(object.at("pattern")), content = object.at("content").string()](
                        AlignedText& text, PatternScratch& scratch) { replace(text, pattern, content, scratch); });
  } else if (type == "Precompiled") {
    steps.push_back([rules = std::make_shared<const Precompiled>(object.at("precompiled_charsmap"))](
                        AlignedText& text, PatternScratch&) { rules->apply(text); });
  } else {
    object.at("type").fail("normalizer '" + type + "' is not supported" +
                           did_you_mean(type, {"Sequence", "Prepend", "Replace", "NFC", "NFD", "NFKC", "NFKD",
                                               "Lowercase", "Strip", "StripAccents", "BertNormalizer", "Precompiled"}));
  }
}

}  // namespace

std::vector<Normalizer> read_normalizer(const JsonView& object) {
  std::vector<Normalizer> steps;
  add_steps(object, steps);
  return steps;
}

}  // namespace lora
