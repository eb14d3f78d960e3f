#pragma once
// Data files of a test's own.

#include <algorithm>
#include <string>

#include "lora/data/config.h"
#include "lora/data/dataset.h"
#include "tests/temporary_directory.h"

namespace lora::test {

class DataFiles {
 public:
  DataSource add(const std::string& name, const std::string& bytes, const std::string& format) const {
    write_bytes(directory_ / name, bytes);
    return {(directory_ / name).string(), format, 1.0, {}};
  }
  std::filesystem::path path(const std::string& name) const { return directory_ / name; }

 private:
  TemporaryDirectory directory_;
};

// {"prompt": "0", "completion": "a"} and so on.
inline std::string numbered_rows(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += "{\"prompt\": \"" + std::to_string(i) + "\", \"completion\": \"a\"}\n";
  return lines;
}

// The same samples of the same files.
inline bool same(const Dataset& a, const Dataset& b) {
  bool equal = a.size() == b.size() && a.sources() == b.sources() && a.used_ids() == b.used_ids() &&
               a.index().files == b.index().files && a.lengths() == b.lengths() && a.tokens() == b.tokens() &&
               a.supervised_tokens() == b.supervised_tokens() && a.longest() == b.longest();
  for (int64_t i = 0; equal && i < a.size(); ++i) {
    equal = std::ranges::equal(a[i].ids, b[i].ids) && std::ranges::equal(a[i].supervised, b[i].supervised) &&
            a[i].label == b[i].label;
  }
  return equal;
}

}  // namespace lora::test
