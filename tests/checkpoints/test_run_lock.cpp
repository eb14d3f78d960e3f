#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "lora/checkpoints/run_lock.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/temporary_directory.h"

namespace lora {
namespace {

using namespace test;

using Catch::Matchers::Contains;

std::string lock_error(const std::filesystem::path& run) {
  try {
    const RunLock lock(run);
  } catch (const StorageError& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a run directory that another process writes to cannot be locked", "[checkpoints]") {
  const TemporaryDirectory directory;
  const auto run = directory / "runs/a";
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const RunLock lock(run);
    if (::write(ready[1], "x", 1) == 1) ::pause();
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK_THAT(lock_error(run), Contains("runs/a: another process (pid " + std::to_string(child) + ") is writing"));

  // A killed process holds nothing.
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  CHECK(lock_error(run).empty());
}

TEST_CASE("a run lock ends with its object", "[checkpoints]") {
  const TemporaryDirectory directory;
  {
    const RunLock lock(directory.path());
    CHECK_THAT(lock_error(directory.path()), Contains("another process"));
  }
  CHECK(lock_error(directory.path()).empty());
}

TEST_CASE("a run directory that cannot be made is a storage error that names it", "[checkpoints]") {
  const TemporaryDirectory directory;
  write_bytes(directory / "file", "");
  CHECK_THAT(lock_error(directory / "file/run"), Contains("file/run") && Contains("Not a directory"));
}

TEST_CASE("a lock of a run that wrote nothing leaves nothing, and one that wrote keeps its file", "[checkpoints]") {
  const TemporaryDirectory directory;
  namespace fs = std::filesystem;
  {
    const RunLock lock(directory / "runs/deep/a");
  }
  CHECK_FALSE(fs::exists(directory / "runs"));

  // What was there before stays.
  fs::create_directories(directory / "mine/empty");
  { const RunLock lock(directory / "mine/empty"); }
  CHECK(fs::is_empty(directory / "mine/empty"));

  {
    const RunLock lock(directory / "runs/a");
    write_bytes(directory / "runs/a/recipe.yaml", "x");
  }
  CHECK(fs::exists(directory / "runs/a/.lock"));
}

TEST_CASE("directories that were made are removed with the last of what is in them", "[checkpoints]") {
  const TemporaryDirectory directory;
  namespace fs = std::filesystem;
  {
    const MadeDirectories both(directory / "runs/both");
    const RunLock first(directory / "runs/both/fr"), second(directory / "runs/both/de");
  }
  CHECK_FALSE(fs::exists(directory / "runs"));
}

}  // namespace lora
