#pragma once
// The patterns of tokenizer.json: {"String": ...} and {"Regex": ...}, the latter in Oniguruma's syntax.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lora/data/tokenizer.h"
#include "lora/data/tokenizers/json_view.h"

namespace lora {

// What one thread needs to match: PCRE2's match data, limits, and a stack for compiled patterns.
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

// Immutable; matches in several threads at once, each with a scratch of its own.
class Pattern {
 public:
  static Pattern literal(std::string text);
  // Compiled by PCRE2, in whose syntax it is first rewritten. Throws ModelError, at `place`, for a pattern that is
  // wrong or that the two read differently.
  static Pattern regex(const std::string& pattern, const JsonView& place);
  // {"String": ...} or {"Regex": ...}.
  static Pattern read(const JsonView& object);

  // The first match in `text` (valid UTF-8) that begins at or after `at`. Throws ModelError where matching takes more
  // than the limits allow.
  std::optional<TextRange> next(std::string_view text, size_t at, PatternScratch& scratch) const;

 private:
  std::string text_;            // of a literal, and of a regex for messages
  std::shared_ptr<void> code_;  // pcre2_code
};

}  // namespace lora
