#pragma once
// Names in error messages: lists of names, and suggestions for a misspelled name.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// The minimum number of insertions, deletions, replacements and swaps of neighbouring bytes that turn `a` into `b`. No
// byte is edited twice ("optimal string alignment", a form of Damerau-Levenshtein).
size_t edit_distance(std::string_view a, std::string_view b);

// The at most `count` candidates that `word` may be a misspelling of, nearest first, then in the given order. Their
// distance is at most a third of the longer name's length. Ignores case, and treats '-' and '_' as equal.
std::vector<std::string> nearest_names(std::string_view word, const std::vector<std::string>& candidates,
                                       size_t count = 1);

// "'a', 'b' and 3 more": shows at most `shown` names; "none" if the list is empty.
std::string listed(const std::vector<std::string>& names, size_t shown = 10);

// " (did you mean 'rank'?)", or an empty string if no candidate is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace lora
