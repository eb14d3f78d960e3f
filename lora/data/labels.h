#pragma once
// A classifier's labels, in the order of the rows of its head.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lora/data/cache.h"
#include "lora/data/config.h"
#include "models/network/labels.h"

namespace lora {

class Labels {
 public:
  Labels() = default;
  explicit Labels(LabelNames names);
  const LabelNames& names() const { return names_; }
  bool empty() const { return names_.empty(); }
  // The index of a label. Throws DataError "WHERE: …" with the nearest names for an unknown label.
  int32_t id(const std::string& label, const std::string& where) const;

 private:
  LabelNames names_;
  std::map<std::string, int32_t> ids_;
};

// Every distinct label in the rows of the sources: sorted by value if all are integers, else in byte order. Throws the
// errors of load_dataset, and DataError for fewer than two labels. The result is cached, so that the rows are not read
// again; the caller sets only the directory and `keep` of `cache`. A cache failure is not an error.
LabelNames collect_labels(const std::vector<DataSource>& sources, const DataConfig& data = {}, CacheOptions cache = {});

}  // namespace lora
