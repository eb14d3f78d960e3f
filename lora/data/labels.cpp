#include "lora/data/labels.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "lora/data/examples.h"
#include "models/base/atomic_file.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/sha256.h"

namespace lora {
namespace {

// True only for the canonical form, so that two different names are never the same number.
bool is_whole_number(const std::string& name) {
  return name == "0" || (!name.empty() && name.size() <= 18 && name[0] >= '1' && name[0] <= '9' &&
                         std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; }));
}

LabelNames read_labels_of(const std::vector<DataSource>& sources, const DataConfig& data) {
  std::set<std::string> found;
  BadRows bad(row_errors(data));
  ExampleReader reader(sources, bad, Trains::kLabel);
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

// All options that determine which rows are usable and what is a label.
std::string label_options(const std::vector<DataSource>& sources, const DataConfig& data) {
  std::string text = "labels " + name_of(data.on_error) + "\n";
  for (const DataSource& source : sources) {
    text += source.format + "\n";
    for (const auto& [name, column] : source.fields) text += name + ":" + std::to_string(column.size()) + column + "\n";
  }
  return text;
}

// Returns nothing if the file is missing or damaged.
std::optional<LabelNames> kept_labels(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const nlohmann::json kept = parse_json_or_discard<nlohmann::json>(in);
  if (!kept.is_object() || !kept.contains("labels") || !kept.contains("sha256")) return {};
  if (kept["sha256"] != sha256_of(kept["labels"].dump())) return {};
  try {
    return kept["labels"].get<LabelNames>();
  } catch (const nlohmann::json::exception&) {
    return {};
  }
}

LabelNames labels_through_cache(const std::vector<DataSource>& sources, const DataConfig& data, CacheOptions cache) {
  cache.options = label_options(sources, data);
  if (cache.keep) open_cache(cache.directory);
  const auto key = cache_key(sources, nullptr, cache);
  if (!key) return read_labels_of(sources, data);
  const std::filesystem::path path = cache.directory / (key->text + ".labels");
  if (auto kept = kept_labels(path)) {
    touch_cached(path);
    return *kept;
  }
  LabelNames names = read_labels_of(sources, data);
  if (cache.keep) {
    const nlohmann::json labels = names;
    const nlohmann::json file = {{"labels", labels}, {"sha256", sha256_of(labels.dump())}};
    write_file_atomically(path, file.dump() + "\n");
  }
  return names;
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

LabelNames collect_labels(const std::vector<DataSource>& sources, const DataConfig& data, CacheOptions cache) {
  if (cache.directory.empty()) return read_labels_of(sources, data);
  try {
    return labels_through_cache(sources, data, std::move(cache));
  } catch (const StorageError&) {  // reported when the samples are stored
    return read_labels_of(sources, data);
  }
}

}  // namespace lora
