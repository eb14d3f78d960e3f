#pragma once
// Names in error messages: lists of them, and the nearest known name to one that is not known.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// The fewest insertions, deletions, replacements and swaps of neighbouring bytes that make `a` into `b`, no byte being
// edited twice ("optimal string alignment", a form of Damerau-Levenshtein).
size_t edit_distance(std::string_view a, std::string_view b);

// At most `count` of `candidates` that `word` could be a misspelling of: those at most a third of the longer name's
// length away, nearest first and otherwise in their given order. Case does not count, nor does '-' for '_'.
std::vector<std::string> nearest_names(std::string_view word, const std::vector<std::string>& candidates,
                                       size_t count = 1);

// "'a', 'b' and 3 more": at most `shown` of them; "none" where there are none.
std::string listed(const std::vector<std::string>& names, size_t shown = 10);

// " (did you mean 'rank'?)", or nothing where no candidate is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace lora
