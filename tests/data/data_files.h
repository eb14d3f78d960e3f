#pragma once
// Data files of a test's own.

#include <string>

#include "lora/data/config.h"
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

}  // namespace lora::test
