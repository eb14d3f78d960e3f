#include <functional>
#include <stdexcept>
#include <string>

#include "lora/checkpoints/store.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/error_message.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_directory.h"

namespace lora {
namespace {

using namespace test;

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

// A checkpoint of two files, one of them in a subdirectory.
void fill(const fs::path& directory) {
  write_file_atomically(directory / "state.json", "{}");
  fs::create_directory(directory / "adapter");
  write_file_atomically(directory / "adapter/weights", "weights");
}

int names_in(const fs::path& directory) {
  return static_cast<int>(std::distance(fs::directory_iterator(directory), {}));
}

}  // namespace

TEST_CASE("a run without checkpoints has no newest one", "[checkpoints]") {
  const TemporaryDirectory run;
  CheckpointStore store(run / "not-there-yet");
  CHECK(store.steps().empty());
  CHECK_FALSE(store.newest_whole().checkpoint);
  CHECK_FALSE(fs::exists(run / "not-there-yet"));
}

TEST_CASE("a written checkpoint is the newest whole one", "[checkpoints]") {
  const TemporaryDirectory run;
  CheckpointStore store(run.path());
  store.write(100, fill);
  CHECK(store.write(50, fill) == run / "checkpoints/step-000050");
  CHECK(store.steps() == std::vector<int64_t>{50, 100});
  CHECK(names_in(run / "checkpoints") == 2);
  CHECK(read_bytes(run / "checkpoints/step-000050/adapter/weights") == "weights");

  const auto newest = CheckpointStore(run.path()).newest_whole();
  REQUIRE(newest.checkpoint);
  CHECK(newest.checkpoint->step == 100);
  CHECK(newest.checkpoint->directory == run / "checkpoints/step-000100");
  CHECK(newest.skipped.empty());
}

TEST_CASE("a checkpoint tells its bytes as they are hashed", "[checkpoints]") {
  const TemporaryDirectory run;
  std::vector<std::pair<int64_t, int64_t>> told;
  CheckpointStore(run.path()).write(7, fill, [&](int64_t done, int64_t total) { told.emplace_back(done, total); });
  REQUIRE(told.size() == 2);
  CHECK((told[0].first == 2 || told[0].first == 7));  // in the order of the directory
  CHECK(told[0].second == 9);
  CHECK(told[1] == std::pair<int64_t, int64_t>(9, 9));
}

TEST_CASE("the manifest names every file with its size and SHA-256", "[checkpoints]") {
  const TemporaryDirectory run;
  CheckpointStore(run.path()).write(7, [](const fs::path& directory) {
    write_file_atomically(directory / "a", "abc");
  });
  CHECK(read_bytes(run / "checkpoints/step-000007/manifest.json") == R"({
  "files": {
    "a": {
      "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "size": 3
    }
  },
  "format_version": 1,
  "step": 7
}
)");
}

TEST_CASE("steps are compared as numbers, and other names are nobody's checkpoints", "[checkpoints]") {
  const TemporaryDirectory run;
  CheckpointStore store(run.path());
  store.write(999999, fill);
  store.write(1000000, fill);
  for (const char* name : {"step-50", "step--00001", "step-00000x", "step-", "best"}) {
    fs::create_directory(run / "checkpoints" / name);
  }
  write_bytes(run / "checkpoints/step-000001", "a file");
  CHECK(store.steps() == std::vector<int64_t>{999999, 1000000});
  CHECK(store.newest_whole().checkpoint->step == 1000000);
}

TEST_CASE("damaged checkpoints are skipped, each with its reason", "[checkpoints]") {
  const TemporaryDirectory run;
  {
    CheckpointStore store(run.path());
    for (int64_t step = 1; step <= 9; ++step) store.write(step, fill);
  }
  const auto file = [&](int step, const std::string& name) {
    return run.path() / ("checkpoints/step-00000" + std::to_string(step)) / name;
  };
  write_bytes(file(9, "adapter/weights"), "weightS");
  write_bytes(file(8, "adapter/weights"), "weight");
  fs::remove(file(7, "adapter/weights"));
  fs::remove(file(6, "manifest.json"));
  write_bytes(file(5, "manifest.json"), read_bytes(file(5, "manifest.json")).substr(0, 40));
  write_bytes(file(4, "manifest.json"), R"({"format_version": 2})");
  write_bytes(file(3, "manifest.json"), read_bytes(file(2, "manifest.json")));
  write_bytes(file(2, "manifest.json"),
              R"({"format_version":1,"step":2,"files":{"../step-000001/state.json":{"size":2,"sha256":""}}})");

  CheckpointStore store(run.path());
  const auto newest = store.newest_whole();
  REQUIRE(newest.checkpoint);
  CHECK(newest.checkpoint->step == 1);
  REQUIRE(newest.skipped.size() == 8);
  CHECK(newest.skipped[0].directory == run / "checkpoints/step-000009");
  CHECK_THAT(newest.skipped[0].reason, Contains("adapter/weights") && Contains("SHA-256"));
  CHECK_THAT(newest.skipped[1].reason, Contains("found 6 bytes, expected 7"));
  CHECK_THAT(newest.skipped[2].reason, Contains("adapter/weights: missing"));
  CHECK_THAT(newest.skipped[3].reason, Contains("manifest.json: missing"));
  CHECK_THAT(newest.skipped[4].reason, Contains("not a manifest"));
  CHECK_THAT(newest.skipped[5].reason, Contains("found format_version 2, expected 1"));
  CHECK_THAT(newest.skipped[6].reason, Contains("of another step"));
  CHECK_THAT(newest.skipped[7].reason, Contains("outside the checkpoint"));

  CHECK(store.verified(1) == run / "checkpoints/step-000001");
  CHECK_THAT(error_message<StorageError>([&] { store.verified(9); }), Contains("step-000009") && Contains("SHA-256"));
  CHECK_THAT(error_message<StorageError>([&] { store.verified(10); }), Contains("step-000010") && Contains("missing"));
}

TEST_CASE("writing a step again replaces its checkpoint, whole or damaged", "[checkpoints]") {
  const TemporaryDirectory run;
  CheckpointStore store(run.path());
  store.write(1, fill);
  fs::remove(run / "checkpoints/step-000001/state.json");
  store.write(1, [](const fs::path& directory) { write_file_atomically(directory / "b", "new"); });
  CHECK(CheckpointStore(run.path()).newest_whole().checkpoint);
  CHECK_FALSE(fs::exists(run / "checkpoints/step-000001/adapter"));
  CHECK(read_bytes(run / "checkpoints/step-000001/b") == "new");
  CHECK(names_in(run / "checkpoints") == 1);
}

TEST_CASE("a checkpoint that fails on the way leaves nothing and the ones before", "[checkpoints]") {
  const TemporaryDirectory run;
  CheckpointStore store(run.path());
  store.write(1, fill);
  CHECK_THROWS_AS(store.write(2,
                              [](const fs::path& directory) {
                                fill(directory);
                                throw NumericsError("loss is not finite");
                              }),
                  NumericsError);
  CHECK_THAT(error_message<StorageError>(
                 [&] { store.write(2, [](const fs::path& d) { fs::create_symlink("/etc/passwd", d / "link"); }); }),
             Contains("link: a checkpoint holds regular files"));
  {
    const FileSizeLimit limit(100);  // the manifest is larger
    CHECK_THAT(error_message<StorageError>([&] { store.write(2, fill); }),
               Contains("manifest.json: cannot write: File too large"));
  }
  CHECK(names_in(run / "checkpoints") == 1);
  CHECK(store.newest_whole().checkpoint->step == 1);
}

TEST_CASE("a run directory that cannot hold checkpoints is a storage error that names it", "[checkpoints]") {
  const TemporaryDirectory run;
  write_bytes(run / "checkpoints", "a file");
  CheckpointStore store(run.path());
  CHECK_THAT(error_message<StorageError>([&] { store.write(1, fill); }),
             Contains("checkpoints") && Contains("Not a directory"));
  CHECK_THAT(error_message<StorageError>([&] { store.newest_whole(); }),
             Contains("checkpoints") && Contains("Not a directory"));
}

TEST_CASE("leftovers of a killed writer are removed by the next write and never count", "[checkpoints]") {
  const TemporaryDirectory run;
  CheckpointStore store(run.path());
  store.write(1, fill);
  fs::copy(run / "checkpoints/step-000001", run / "checkpoints/.tmp-step-000002-123", fs::copy_options::recursive);
  fs::copy(run / "checkpoints/step-000001", run / "checkpoints/.trash-step-000003-123", fs::copy_options::recursive);
  CHECK(store.newest_whole().checkpoint->step == 1);
  CHECK(names_in(run / "checkpoints") == 3);
  store.write(2, fill);
  CHECK(names_in(run / "checkpoints") == 2);
}

TEST_CASE("pruning keeps the newest and the protected", "[checkpoints]") {
  const TemporaryDirectory run;
  CheckpointStore store(run.path());
  store.prune(1);
  for (int64_t step = 1; step <= 6; ++step) store.write(step, fill);
  store.prune(2, {2, 77});
  CHECK(store.steps() == std::vector<int64_t>{2, 5, 6});
  CHECK(names_in(run / "checkpoints") == 3);
  store.prune(0);
  CHECK(store.steps() == std::vector<int64_t>{6});
}

TEST_CASE("pruning counts whole checkpoints only", "[checkpoints]") {
  const TemporaryDirectory run;
  for (int64_t step = 1; step <= 4; ++step) CheckpointStore(run.path()).write(step, fill);
  write_bytes(run / "checkpoints/step-000004/state.json", "[]");
  CheckpointStore store(run.path());
  store.prune(1);
  CHECK(store.steps() == std::vector<int64_t>{3, 4});
  CHECK(store.newest_whole().checkpoint->step == 3);
}

}  // namespace lora
