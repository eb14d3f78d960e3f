#include "lora/data/tokenizers/pre_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lora/data/tokenizers/decoder.h"
#include "lora/data/tokenizers/unicode.h"
#include "models/base/did_you_mean.h"

namespace lora {
namespace {

// GPT-2's pattern, the default of ByteLevel.
constexpr const char* kGpt2Words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior read_behavior(const JsonView& value) {
  const std::vector<std::string> names = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
  const auto found = std::find(names.begin(), names.end(), value.string());
  if (found == names.end()) {
    value.fail("behavior '" + value.string() + "' is not supported" + did_you_mean(value.string(), names));
  }
  return static_cast<Behavior>(found - names.begin());
}

// Receives the parts of a word in order (matches and the text between them) and makes words of them.
class Stretches {
 public:
  Stretches(std::vector<TextRange>& words, Behavior behavior) : words_(words), behavior_(behavior) {}

  void begin_word() {
    fresh_ = true;
    match_before_ = false;
  }

  void add(size_t begin, size_t end, bool match) {
    switch (behavior_) {
      case Behavior::kRemoved:
        if (match) return;
        words_.push_back({begin, end});
        return;
      case Behavior::kIsolated:
        words_.push_back({begin, end});
        return;
      case Behavior::kMergedWithPrevious:  // of consecutive matches, only the first
        put(begin, end, match && !match_before_);
        break;
      case Behavior::kMergedWithNext:  // of consecutive matches, only the last
        put(begin, end, !match && match_before_);
        break;
      case Behavior::kContiguous:
        put(begin, end, match == match_before_);
        break;
    }
    match_before_ = match;
  }

 private:
  void put(size_t begin, size_t end, bool join) {
    if (join && !fresh_) {
      words_.back().end = end;
    } else {
      words_.push_back({begin, end});
    }
    fresh_ = false;
  }

  std::vector<TextRange>& words_;
  const Behavior behavior_;
  bool fresh_ = true, match_before_ = false;
};

// next(word, at): the first match in `word` at or after `at`, or nothing.
template <typename Next>
void split(Words& words, Behavior behavior, bool invert, const Next& next) {
  words.spare.clear();
  Stretches stretches(words.spare, behavior);
  for (const TextRange& range : words.ranges) {
    const std::string_view word = words.text.text().substr(range.begin, range.end - range.begin);
    const auto add = [&](size_t begin, size_t end, bool match) {
      if (begin < end) stretches.add(range.begin + begin, range.begin + end, match != invert);
    };
    stretches.begin_word();
    size_t done = 0, at = 0;
    while (at < word.size()) {
      const std::optional<TextRange> match = next(word, at);
      if (!match) break;
      add(done, match->begin, false);
      add(match->begin, match->end, true);
      done = at = match->end;
      // An empty match only splits. The search continues after one character.
      if (match->begin == match->end && at < word.size()) at += character_at(word, at).length;
    }
    add(done, word.size(), false);
  }
  words.ranges.swap(words.spare);
}

// Each match is a single character.
Splitter split_characters(bool (*matches)(char32_t), Behavior behavior) {
  return [=](Words& words, PatternScratch&) {
    split(words, behavior, false, [matches](std::string_view word, size_t at) -> std::optional<TextRange> {
      while (at < word.size()) {
        const Character character = character_at(word, at);
        if (matches(character.code)) return TextRange{at, at + character.length};
        at += character.length;
      }
      return std::nullopt;
    });
  };
}

// \w+|[^\w\s]+: drops white space and splits the rest where word characters begin and end.
bool is_other_than_word(char32_t code) { return !is_word_character(code); }
void split_word_characters(std::vector<Splitter>& steps) {
  steps.push_back(split_characters(is_white_space, Behavior::kRemoved));
  steps.push_back(split_characters(is_other_than_word, Behavior::kContiguous));
}

Splitter split_pattern(Pattern pattern, Behavior behavior, bool invert) {
  return [=, pattern = std::move(pattern)](Words& words, PatternScratch& scratch) {
    split(words, behavior, invert, [&](std::string_view word, size_t at) { return pattern.next(word, at, scratch); });
  };
}

// Adds `prefix` before each word for which takes_prefix(word, original position) is true.
template <typename Predicate>
void prepend(Words& words, std::string_view prefix, const Predicate& takes_prefix) {
  const std::string_view text = words.text.text();
  const auto needs = [&](const TextRange& range) {
    return takes_prefix(text.substr(range.begin, range.end - range.begin), words.text.from(range.begin));
  };
  if (std::none_of(words.ranges.begin(), words.ranges.end(), needs)) return;
  TextBuilder built(words.text);
  for (TextRange& range : words.ranges) {
    const size_t begin = built.size();
    if (needs(range)) built.put(prefix, range.begin);
    built.keep(range.begin, range.end);
    range = {begin, built.size()};
  }
  built.finish(words.text);
}

Splitter prefix_space() {
  return [](Words& words, PatternScratch&) {
    prepend(words, " ", [](std::string_view word, size_t) { return !word.starts_with(' '); });
  };
}

void replace_spaces(Words& words, std::string_view replacement) {
  const std::string_view text = words.text.text();
  if (text.find(' ') == text.npos) return;
  TextBuilder built(words.text);
  for (TextRange& range : words.ranges) {
    const size_t begin = built.size();
    size_t done = range.begin;
    for (size_t space = text.find(' ', done); space < range.end; space = text.find(' ', done)) {
      built.keep(done, space);
      built.put(replacement, space);
      done = space + 1;
    }
    built.keep(done, range.end);
    range = {begin, built.size()};
  }
  built.finish(words.text);
}

void add_metaspace(const JsonView& object, std::vector<Splitter>& steps) {
  const std::string replacement = object.string_or("replacement", "\u2581");
  if (replacement.empty() || character_at(replacement, 0).length != replacement.size()) {
    object.at("replacement").fail("found '" + replacement + "', expected one character");
  }
  // The older form of `prepend_scheme` is `add_prefix_space`.
  const std::string scheme =
      object.string_or("prepend_scheme", object.boolean_or("add_prefix_space", true) ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    object.at("prepend_scheme").fail("found '" + scheme + "', expected always, first or never");
  }
  steps.push_back([=](Words& words, PatternScratch&) {
    replace_spaces(words, replacement);
    if (scheme == "never") return;
    prepend(words, replacement, [&](std::string_view word, size_t from) {
      return (scheme == "always" || from == 0) && !word.starts_with(replacement);
    });
  });
  if (object.boolean_or("split", true)) {
    steps.push_back(split_pattern(Pattern::literal(replacement), Behavior::kMergedWithNext, false));
  }
}

// Splits words as `steps` split their bytes in ByteLevel's alphabet.
Splitter in_byte_alphabet(std::vector<Splitter> steps) {
  return [steps = std::move(steps)](Words& words, PatternScratch& scratch) {
    std::string text;
    std::vector<size_t> from;  // the position of each byte of `text`
    Words shown;
    for (const TextRange& range : words.ranges) {
      const size_t begin = text.size();
      for (size_t at = range.begin; at < range.end; ++at) {
        append_in_byte_alphabet(words.text.text()[at], text);
        from.resize(text.size(), at);
      }
      shown.ranges.push_back({begin, text.size()});
    }
    shown.text = AlignedText(text);
    for (const Splitter& step : steps) step(shown, scratch);
    words.ranges.clear();
    for (const TextRange& range : shown.ranges) {
      words.ranges.push_back({from[range.begin], from[range.end - 1] + 1});
    }
  };
}

// `behind` gets the steps behind ByteLevel.
void add_steps(const JsonView& object, PreTokenizer& made, std::vector<Splitter>& behind) {
  const JsonView name = object.at("type");
  const std::string& type = name.string();
  auto& steps = made.byte_level ? behind : made.steps;
  if (made.byte_level && type != "Split" && type != "Digits" && type != "Punctuation") {
    object.fail("'" + type + "' behind ByteLevel is not supported");
  }
  if (type == "Sequence") {
    for (const JsonView& step : object.at("pretokenizers").elements()) {
      if (step.at("type").string() == "Sequence") step.fail("a Sequence inside a Sequence is not supported");
      add_steps(step, made, behind);
    }
  } else if (type == "ByteLevel") {
    if (object.boolean_or("add_prefix_space", true)) steps.push_back(prefix_space());
    if (object.boolean_or("use_regex", true)) {
      steps.push_back(split_pattern(Pattern::regex(kGpt2Words, object), Behavior::kIsolated, false));
    }
    made.byte_level = true;
  } else if (type == "Split") {
    steps.push_back(split_pattern(Pattern::read(object.at("pattern")), read_behavior(object.at("behavior")),
                                  object.boolean_or("invert", false)));
  } else if (type == "Digits") {
    const bool each = object.boolean_or("individual_digits", false);
    steps.push_back(split_characters(is_number, each ? Behavior::kIsolated : Behavior::kContiguous));
  } else if (type == "Punctuation") {
    const auto behavior = object.find("behavior");
    steps.push_back(split_characters(is_punctuation, behavior ? read_behavior(*behavior) : Behavior::kIsolated));
  } else if (type == "Whitespace") {
    split_word_characters(steps);
  } else if (type == "WhitespaceSplit") {
    steps.push_back(split_characters(is_white_space, Behavior::kRemoved));
  } else if (type == "BertPreTokenizer") {
    steps.push_back(split_characters(is_white_space, Behavior::kRemoved));
    steps.push_back(split_characters(is_punctuation, Behavior::kIsolated));
  } else if (type == "CharDelimiterSplit") {
    const std::string& delimiter = object.at("delimiter").string();
    if (delimiter.empty()) object.at("delimiter").fail("found an empty text, expected one character");
    steps.push_back(split_pattern(Pattern::literal(delimiter), Behavior::kRemoved, false));
  } else if (type == "Metaspace") {
    add_metaspace(object, steps);
  } else {
    name.fail("pre-tokenizer '" + type + "' is not supported" +
              did_you_mean(type, {"Sequence", "ByteLevel", "Split", "Digits", "Punctuation", "Whitespace",
                                  "WhitespaceSplit", "BertPreTokenizer", "CharDelimiterSplit", "Metaspace"}));
  }
}

}  // namespace

PreTokenizer read_pre_tokenizer(const JsonView& object) {
  PreTokenizer made;
  std::vector<Splitter> behind;
  add_steps(object, made, behind);
  if (!behind.empty()) made.steps.push_back(in_byte_alphabet(std::move(behind)));
  return made;
}

}  // namespace lora
