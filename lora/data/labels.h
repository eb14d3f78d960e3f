#pragma once
// The classes that a classifier's samples are of, by the rows of its head.

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
  // Throws DataError "WHERE: …" with the nearest names for a label that is none of these.
  int32_t id(const std::string& label, const std::string& where) const;

 private:
  LabelNames names_;
  std::map<std::string, int32_t> ids_;
};

// Every label of the sources' rows once: by value where all are whole numbers, else in byte order. Throws as
// load_dataset does, and DataError for fewer than two. Kept in the cache, of whose options the directory and `keep` are
// the caller's, so that the rows are not read for them again; a cache that cannot be used is no error.
LabelNames collect_labels(const std::vector<DataSource>& sources, const DataConfig& data = {}, CacheOptions cache = {});

}  // namespace lora
