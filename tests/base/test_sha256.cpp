// The hash of samples of a file, by which other weights under the same name are noticed.

#include <fstream>

#include "models/base/error.h"
#include "models/base/sha256.h"
#include "tests/catch.h"
#include "tests/temporary_directory.h"

using namespace lora;

namespace {

std::filesystem::path file_of(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

}  // namespace

TEST_CASE("the sampled hash of a small file depends on each byte, that of a large one on size, start and end") {
  const test::TemporaryDirectory directory;
  const auto hash = [&](const std::string& bytes) { return sampled_sha256_of_file(file_of(directory / "f", bytes)); };
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4096}, size_t{4097}, size_t{1} << 20}) {
    const std::string bytes(size, 'a');
    CHECK(hash(bytes) == hash(bytes));
    CHECK(hash(bytes) != hash(bytes + "a"));
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      if (size == 0) continue;
      std::string other = bytes;
      other[at] = 'b';
      CHECK(hash(bytes) != hash(other));
    }
  }
  const std::string large((size_t{1} << 20) + 4321, 'a');
  CHECK(hash(large) != hash(large + "a"));
  std::string first = large, last = large;
  first.front() = last.back() = 'b';
  CHECK(hash(large) != hash(first));
  CHECK(hash(large) != hash(last));
  CHECK_THROWS_AS(sampled_sha256_of_file(directory / "none"), StorageError);
}
