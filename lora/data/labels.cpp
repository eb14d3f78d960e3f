#include "lora/data/labels.h"

#include <algorithm>
#include <set>

#include "lora/data/examples.h"
#include "models/did_you_mean.h"
#include "models/error.h"

namespace lora {
namespace {

// As it would be printed again, so that no two names are the same number.
bool is_whole_number(const std::string& name) {
  return name == "0" || (!name.empty() && name.size() <= 18 && name[0] >= '1' && name[0] <= '9' &&
                         std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; }));
}

std::string listed(const LabelNames& names) {
  constexpr size_t kShown = 10;
  std::string list;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) list += (i ? ", '" : "'") + names[i] + "'";
  return names.size() > kShown ? list + " and " + std::to_string(names.size() - kShown) + " more" : list;
}

}  // namespace

Labels::Labels(LabelNames names) : names_(std::move(names)) {
  for (size_t i = 0; i < names_.size(); ++i) ids_[names_[i]] = static_cast<int32_t>(i);
}

int32_t Labels::id(const std::string& label, const std::string& where) const {
  const auto found = ids_.find(label);
  if (found != ids_.end()) return found->second;
  throw DataError(where + ": unknown label '" + label + "'" + did_you_mean(label, names_) + "; the " +
                  std::to_string(names_.size()) + " labels are " + listed(names_));
}

LabelNames collect_labels(const std::vector<DataSource>& sources, const DataConfig& data) {
  std::set<std::string> found;
  BadRows bad(row_errors(data));
  ExampleReader reader(sources, bad, /*labelled=*/true);
  for (ExampleBlock block; reader.next(block);) {
    for (const ExampleRow& row : block.rows) found.insert(*row.example.label);
  }
  LabelNames names(found.begin(), found.end());
  if (names.size() < 2) {
    throw DataError(sources.front().path + ": " +
                    (names.empty() ? "no label" : "every row has the label '" + names[0] + "'") +
                    "; a classifier wants at least two");
  }
  if (std::ranges::all_of(names, is_whole_number)) {
    std::ranges::sort(names, {}, [](const std::string& name) { return std::stoll(name); });
  }
  return names;
}

}  // namespace lora
