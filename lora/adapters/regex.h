#pragma once
// Regular expressions over module paths, as Python's `re` reads them (PCRE2 in UTF-8, with a bound on backtracking).

#include <memory>
#include <string>

namespace lora {

class Regex {
 public:
  // Throws Error (exit code 2) that shows where the pattern breaks.
  explicit Regex(const std::string& pattern);
  // Python's re.fullmatch. Throws when the pattern backtracks without end.
  bool full_match(const std::string& text) const;

 private:
  std::string pattern_;
  std::shared_ptr<void> code_;  // pcre2_code
};

}  // namespace lora
