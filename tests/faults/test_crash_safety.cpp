#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "lora/checkpoints/metrics_file.h"
#include "lora/checkpoints/store.h"
#include "models/base/atomic_file.h"
#include "tests/catch.h"
#include "tests/faults/killed_process.h"
#include "tests/temporary_directory.h"

namespace lora {
namespace {

using namespace test;

namespace fs = std::filesystem;

// What a killed process leaves does not hang on the disk, only the time does: in memory, flushing costs nothing.
fs::path fast_directory() { return fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path(); }

// A checkpoint whose files tell of which step, and of which writing of it, they are.
auto content(int64_t step, const std::string& version = "a") {
  return [=](const fs::path& directory) {
    write_file_atomically(directory / "step", std::to_string(step));
    fs::create_directory(directory / "adapter");
    write_file_atomically(directory / "adapter/version", version);
  };
}

// The newest whole step as a new process sees it; 0 where there is none. What it holds is of one writing.
int64_t newest_step(const fs::path& run) {
  const auto newest = CheckpointStore(run).newest_whole();
  REQUIRE(newest.skipped.empty());
  if (!newest.checkpoint) return 0;
  REQUIRE(read_bytes(newest.checkpoint->directory / "step") == std::to_string(newest.checkpoint->step));
  return newest.checkpoint->step;
}

}  // namespace

TEST_CASE("A: SIGKILL before every system call of a save leaves the old or the new checkpoint newest") {
  const TemporaryDirectory directory(fast_directory());
  const fs::path run = directory / "run";
  const int kills = kill_before_every_system_call(
      [&] {
        fs::remove_all(run);
        CheckpointStore(run).write(1, content(1));
      },
      [&] { CheckpointStore(run).write(2, content(2)); },
      [&](bool written) {
        const int64_t newest = newest_step(run);
        REQUIRE((newest == 2 || (newest == 1 && !written)));
        // The next process continues as if nothing had happened.
        CheckpointStore(run).write(3, content(3));
        REQUIRE(newest_step(run) == 3);
        REQUIRE(std::distance(fs::directory_iterator(run / "checkpoints"), {}) == newest + 1);
      });
  CHECK((kills == 0 || kills > 20));
}

TEST_CASE("A: SIGKILL before every system call of a save in place of another leaves the step's old or new checkpoint") {
  const TemporaryDirectory directory(fast_directory());
  const fs::path run = directory / "run";
  kill_before_every_system_call(
      [&] {
        fs::remove_all(run);
        CheckpointStore(run).write(2, content(2, "old"));
      },
      [&] { CheckpointStore(run).write(2, content(2, "new")); },
      [&](bool written) {
        REQUIRE(newest_step(run) == 2);
        const std::string version = read_bytes(run / "checkpoints/step-000002/adapter/version");
        REQUIRE((version == "new" || (version == "old" && !written)));
      });
}

TEST_CASE("A: kill while pruning, at every system call, leaves the newest and the protected") {
  const TemporaryDirectory directory(fast_directory());
  const fs::path run = directory / "run";
  kill_before_every_system_call(
      [&] {
        fs::remove_all(run);
        for (int64_t step = 1; step <= 4; ++step) CheckpointStore(run).write(step, content(step));
      },
      [&] { CheckpointStore(run).prune(1, {2}); },
      [&](bool pruned) {
        CheckpointStore store(run);
        REQUIRE(newest_step(run) == 4);
        for (const int64_t step : store.steps()) REQUIRE_NOTHROW(store.verified(step));
        REQUIRE_NOTHROW(store.verified(2));
        if (pruned) REQUIRE(store.steps() == std::vector<int64_t>{2, 4});
      });
}

TEST_CASE("A: SIGKILL before every system call of dropping metrics rows leaves all rows or the kept ones") {
  const TemporaryDirectory run(fast_directory());
  const std::string all = "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n";
  const std::string kept = "{\"step\":1}\n";
  kill_before_every_system_call([&] { write_bytes(run / "metrics.jsonl", all); },
                                [&] { drop_rows_after(run / "metrics.jsonl", 1); },
                                [&](bool dropped) {
                                  const std::string rows = read_bytes(run / "metrics.jsonl");
                                  REQUIRE((rows == kept || (rows == all && !dropped)));
                                });
}

TEST_CASE("A: SIGKILL at random never loses a completed checkpoint", "[.long]") {
  const TemporaryDirectory directory(fast_directory());
  const fs::path run = directory / "run";
  SharedNumber completed;
  std::mt19937_64 random(7);
  int64_t best = 0;
  fs::create_directory(run);
  for (int round = 0; round < 400; ++round) {
    const int64_t resumed = newest_step(run);
    kill_after(std::chrono::microseconds(random() % 20000), [&] {
      CheckpointStore store(run);
      MetricsFile metrics(run / "metrics.jsonl");
      for (int64_t step = resumed + 1;; ++step) {
        metrics.append("{\"step\":" + std::to_string(step) + ",\"loss\":1.25}");
        store.write(step, content(step));
        completed.value() = step;
        store.prune(2, {best});
      }
    });
    const int64_t newest = newest_step(run);
    REQUIRE(newest >= completed.value());
    if (best != 0) REQUIRE_NOTHROW(CheckpointStore(run).verified(best));
    if (round % 50 == 0) best = newest;
    // metrics.jsonl, brought back to the checkpoint, tells of every step once.
    if (newest == 0) continue;
    drop_rows_after(run / "metrics.jsonl", newest);
    std::ifstream rows(run / "metrics.jsonl");
    int64_t expected = 1;
    for (std::string row; std::getline(rows, row); ++expected) REQUIRE(nlohmann::json::parse(row)["step"] == expected);
    REQUIRE(expected == newest + 1);
  }
  CHECK(completed.value() > 100);
}

}  // namespace lora
