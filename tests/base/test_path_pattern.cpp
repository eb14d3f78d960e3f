#include "models/base/path_pattern.h"

#include <filesystem>
#include <fstream>

#include "tests/catch.h"
#include "tests/temporary_directory.h"

using namespace lora;

namespace {

std::string repeated(const std::string& text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

}  // namespace

TEST_CASE("a path pattern matches what is there, in byte order, through directories") {
  const test::TemporaryDirectory directory;
  for (const char* name : {"a/x/b-2", "a/x/b-10", "a/y/B"}) {
    std::filesystem::create_directories((directory / name).parent_path());
    std::ofstream(directory / name) << "x";
  }
  const std::string all = (directory / "*/[xy]/?*").string();
  CHECK(is_path_pattern(all));
  CHECK(matching_paths(all) ==
        std::vector<std::string>{directory / "a/x/b-10", directory / "a/x/b-2", directory / "a/y/B"});
  CHECK(matching_paths((directory / "*/z*").string()).empty());
  CHECK_FALSE(is_path_pattern((directory / "a/x").string()));
}

TEST_CASE("a path pattern that is too long for the stack matches nothing") {
  CHECK(matching_paths(repeated("*/", 4295)).empty());
  CHECK(matching_paths("[" + repeated("a/", 4295)).empty());
  CHECK(matching_paths(repeated("/", 300) + "*").empty());
  CHECK_FALSE(matching_paths(repeated("/", 200) + "*").empty());
  CHECK(matching_paths("*" + std::string(5000, 'a') + "/*").empty());
}
