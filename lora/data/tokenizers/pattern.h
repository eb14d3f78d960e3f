#pragma once
// The patterns of tokenizer.json: {"String": ...} and {"Regex": ...}. Regexes have Oniguruma's syntax.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lora/data/tokenizer.h"
#include "lora/data/tokenizers/json_view.h"

namespace lora {

// A thread's workspace for matching: PCRE2's match data, limits, and a stack for compiled patterns.
class PatternScratch {
 public:
  PatternScratch();
  ~PatternScratch();
  PatternScratch(const PatternScratch&) = delete;
  PatternScratch& operator=(const PatternScratch&) = delete;

 private:
  friend class Pattern;
  struct State;
  std::unique_ptr<State> state_;
};

// Immutable and thread-safe; each thread uses its own scratch.
class Pattern {
 public:
  static Pattern literal(std::string text);
  // Rewrites the pattern in PCRE2's syntax and compiles it. Throws ModelError, with `place`, for an invalid pattern and
  // for one that the two libraries interpret differently.
  static Pattern regex(const std::string& pattern, const JsonView& place);
  // {"String": ...} or {"Regex": ...}.
  static Pattern read(const JsonView& object);

  // The first match in `text` (valid UTF-8) that begins at or after `at`. Throws ModelError if matching exceeds the
  // limits: 50 million steps from one place, a second of the thread's time in all.
  std::optional<TextRange> next(std::string_view text, size_t at, PatternScratch& scratch) const;

 private:
  std::string text_;            // the literal; or the regex and its place, for messages
  std::shared_ptr<void> code_;  // pcre2_code
};

}  // namespace lora
