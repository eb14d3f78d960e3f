#pragma once
// What the fault cases share: a line for the shell, and all files of a directory to compare.

#include <filesystem>
#include <map>
#include <string>

#include "tests/app/command.h"
#include "tests/temporary_directory.h"

namespace lora::test {

inline Outcome with_bash(const std::string& line) { return run({"/bin/bash", "-c", line}); }

// Every file under a directory but the lock, with its bytes.
inline std::map<std::string, std::string> files_in(const std::filesystem::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& item : std::filesystem::recursive_directory_iterator(directory)) {
    if (item.is_regular_file() && item.path().filename() != ".lock") {
      files[item.path().lexically_relative(directory).string()] = read_bytes(item.path());
    }
  }
  return files;
}

}  // namespace lora::test
