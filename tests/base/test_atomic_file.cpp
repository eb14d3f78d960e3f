#include <fcntl.h>

#include <functional>
#include <string>

#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/error_message.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_directory.h"

namespace lora {
namespace {

using namespace test;

}  // namespace

TEST_CASE("a file written atomically holds its bytes and leaves nothing beside it", "[io]") {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a", "one");
  write_file_atomically(directory / "a", "two");
  CHECK(read_bytes(directory / "a") == "two");
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("a file not committed leaves the old one in place", "[io]") {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a", "old");
  {
    AtomicFile file(directory / "a");
    file.write("new");
    CHECK(read_bytes(directory / "a") == "old");
  }
  CHECK(read_bytes(directory / "a") == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("a file without a directory in its name goes into the current one", "[io]") {
  const TemporaryDirectory directory;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  write_file_atomically("a", "here");
  std::filesystem::current_path(before);
  CHECK(read_bytes(directory / "a") == "here");
}

TEST_CASE("a full disk is a storage error and leaves the old file", "[io]") {
  using Catch::Matchers::Contains;
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a", "old");
  {
    const FileSizeLimit limit(1024);
    CHECK_THAT(error_message<StorageError>([&] { write_file_atomically(directory / "a", std::string(4096, 'x')); }),
               Contains("[storage]") && Contains("cannot write") && Contains("File too large"));
  }
  CHECK(read_bytes(directory / "a") == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);

  const FileDescriptor full(::open("/dev/full", O_WRONLY));
  CHECK_THAT(error_message<StorageError>([&] { write_all(full.get(), "x", 1, "/dev/full"); }),
             Contains("/dev/full: cannot write: No space left on device; free some space"));
}

TEST_CASE("a place that cannot hold a file is a storage error that names it", "[io]") {
  using Catch::Matchers::Contains;
  const TemporaryDirectory directory;
  write_bytes(directory / "file", "");
  std::filesystem::create_directories(directory / "full/of");
  CHECK_THAT(error_message<StorageError>([&] { write_file_atomically(directory / "file/a", "x"); }),
             Contains("file/a") && Contains("Not a directory"));
  CHECK_THAT(error_message<StorageError>([&] { write_file_atomically(directory / "none/a", "x"); }),
             Contains("none/a") && Contains("No such file"));
  CHECK_THAT(error_message<StorageError>([&] { write_file_atomically(directory / "full", "x"); }),
             Contains("full") && Contains("Is a directory"));
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 2);
}

}  // namespace lora
