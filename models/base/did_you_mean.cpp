#include "models/base/did_you_mean.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lora {
namespace {

std::string folded(std::string_view name) {
  std::string folded(name);
  for (char& c : folded) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-') c = '_';
  }
  return folded;
}

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  // Rows i-2, i-1 and i of the table of distances between prefixes.
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, last);
    std::swap(last, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::vector<std::string> nearest_names(std::string_view word, const std::vector<std::string>& candidates,
                                       size_t count) {
  std::vector<std::pair<size_t, const std::string*>> near;
  const std::string sought = folded(word);
  for (const std::string& candidate : candidates) {
    const auto [shorter, longer] = std::minmax({sought.size(), candidate.size()});
    if (longer - shorter > longer / 3) continue;  // the difference in length is a lower bound of the distance
    const size_t distance = edit_distance(sought, folded(candidate));
    if (distance <= longer / 3) near.emplace_back(distance, &candidate);
  }
  std::ranges::stable_sort(near, {}, &std::pair<size_t, const std::string*>::first);
  std::vector<std::string> names;
  for (const auto& [distance, name] : near) {
    if (names.size() < count && std::ranges::find(names, *name) == names.end()) names.push_back(*name);
  }
  return names;
}

std::string listed(const std::vector<std::string>& names, size_t shown) {
  if (names.empty()) return "none";
  std::string list;
  for (size_t i = 0; i < std::min(names.size(), shown); ++i) list += (i ? ", '" : "'") + names[i] + "'";
  return names.size() > shown ? list + " and " + std::to_string(names.size() - shown) + " more" : list;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const auto names = nearest_names(word, candidates);
  return names.empty() ? "" : " (did you mean '" + names.front() + "'?)";
}

}  // namespace lora
