#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "lora/log/log.h"
#include "models/base/error.h"
#include "tests/catch.h"

namespace {

std::string read(const std::filesystem::path& file) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("log lines reach the log file with date and level, braces and all") {
  const auto folder = std::filesystem::temp_directory_path() / "lora-log-test";
  std::filesystem::remove_all(folder);
  lora::log_to_file(folder / "new" / "a.log");
  lora::log_info("step {} of {}");
  lora::log_warning("slow");
  lora::log_to_file(folder / "b.log");
  lora::log_error("gone");

  const std::string date = R"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d )";
  CHECK(std::regex_match(read(folder / "new" / "a.log"),
                         std::regex(date + R"(step \{\} of \{\}\n)" + date + "warning: slow\n")));
  CHECK(std::regex_match(read(folder / "b.log"), std::regex(date + "error: gone\n")));
  std::filesystem::remove_all(folder);
}

TEST_CASE("a log file that cannot be opened is a storage error that names it") {
  try {
    lora::log_to_file("/proc/no-such-folder/a.log");
    FAIL("opened");
  } catch (const lora::StorageError& error) {
    CHECK(std::string(error.what()).find("/proc/no-such-folder/a.log") != std::string::npos);
  }
}
