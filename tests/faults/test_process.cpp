// Signals, memory that runs out, clocks that jump, output that nobody reads: what becomes of a run.

#include <signal.h>

#include <random>
#include <thread>

#include "tests/app/runs.h"
#include "tests/faults/fixtures.h"
#include "tests/faults/hurt_run.h"

using namespace lora;
using namespace lora::test;
namespace fs = std::filesystem;
using Catch::Matchers::Contains;

namespace {

// So many that a signal comes before the last.
const std::string kSteps = "training.max_steps=60", kSaveEvery = "training.checkpoint_every=20",
                  kEvaluations = "training.eval_every=30";

std::string train_command(const std::string& recipe) { return "'" + program("lora-train").string() + "' " + recipe; }

}  // namespace

TEST_CASE("B: SIGTERM: exit code 143, and the resumed run has the bits of one that never stopped") {
  const TemporaryDirectory whole, parts;
  REQUIRE(run({"lora-train", quickstart_recipe(whole), kSteps, kSaveEvery, kEvaluations}).exit_code == 0);
  const std::string recipe = quickstart_recipe(parts);
  Command first({"lora-train", recipe, kSteps, kSaveEvery, kEvaluations});
  for (int tries = 0; tries < 6000 && first.out_so_far().find("step 1/") == std::string::npos; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  first.send(SIGTERM);
  const Outcome stopped = first.wait();
  CAPTURE(stopped.out, stopped.err);
  CHECK(stopped.exit_code == 143);
  CHECK_THAT(stopped.out, Contains("the checkpoint is written, continue with --resume"));
  const Outcome resumed = run({"lora-train", recipe, "--resume", kSteps, kSaveEvery, kEvaluations});
  CAPTURE(resumed.out, resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK(comparable(parts / "run") == comparable(whole / "run"));
  CHECK(weights(parts / "run", 60) == weights(whole / "run", 60));
}

TEST_CASE("B: second SIGINT ends the run at once, with the old checkpoint intact") {
  const TemporaryDirectory directory;
  write_bytes(directory / "rows.jsonl", counting_rows(3000));
  const std::string recipe = quickstart_recipe(directory);
  // A step takes seconds, so that the second signal comes within the step of the first.
  Command first({"lora-train", recipe,
                 "data.train=[{path: " + (directory / "rows.jsonl").string() + ", format: completion}]",
                 "data.cleaning={near_duplicates: 'off', contamination: 'off'}", "training.batch_size=100",
                 "training.max_steps=20", "training.checkpoint_every=1", "training.eval_every=0"});
  for (int tries = 0; tries < 6000 && !fs::exists(directory / "run/checkpoints/step-000001"); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  for (int i = 0; i < 40; ++i) {
    first.send(SIGINT);
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
  }
  const Outcome stopped = first.wait();
  CAPTURE(stopped.exit_code, stopped.out, stopped.err);
  CHECK(stopped.exit_code == 1000 + SIGINT);
  const auto newest = CheckpointStore(directory / "run").newest_whole();
  CHECK(newest.skipped.empty());
  REQUIRE(newest.checkpoint);
  CHECK(newest.checkpoint->step >= 1);
}

TEST_CASE("B: closed stdout and stderr: the run goes to its end") {
  const TemporaryDirectory directory, whole;
  REQUIRE(run({"lora-train", quickstart_recipe(whole)}).exit_code == 0);
  const std::string recipe = quickstart_recipe(directory);
  const Outcome outcome = with_bash("exec " + train_command(recipe) + " >&- 2>&-");
  CHECK(outcome.exit_code == 0);
  CHECK(comparable(directory / "run") == comparable(whole / "run"));
  CHECK(weights(directory / "run", 6) == weights(whole / "run", 6));
}

TEST_CASE("B: torn metrics line is repaired on resume") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const auto rows = comparable(directory / "run");
  fs::remove_all(directory / "run/checkpoints/step-000006");
  const fs::path file = directory / "run/metrics.jsonl";
  const std::string whole = read_bytes(file);
  for (const std::string& torn : {whole.substr(0, whole.size() - 20), whole + std::string(40, '\0'),
                                  whole + "{\"step\":7,\"lo", whole.substr(0, whole.size() - 1)}) {
    write_bytes(file, torn);
    fs::remove_all(directory / "run/checkpoints/step-000006");
    REQUIRE(run({"lora-train", recipe, "--resume"}).exit_code == 0);
    CHECK(comparable(directory / "run") == rows);
  }
}

TEST_CASE("B: RLIMIT_AS: memory that is not there is one message, and a checkpoint that is whole") {
  const TemporaryDirectory whole, directory;
  const std::string changes = "export: [peft]\n";
  REQUIRE(run({"lora-train", quickstart_recipe(whole, changes)}).exit_code == 0);
  const std::string recipe = quickstart_recipe(directory, changes);
  int refused = 0, done = 0;
  for (int megabytes = 400; megabytes <= 490; megabytes += 10) {
    fs::remove_all(directory / "run");
    const Outcome outcome =
        with_bash("ulimit -v " + std::to_string(megabytes * 1024) + "; exec " + train_command(recipe));
    CAPTURE(megabytes, outcome.exit_code, outcome.err);
    // The libraries do not fit, or what LibTorch does before main.
    if (with_bash("ulimit -v " + std::to_string(megabytes * 1024) + "; exec " + program("lora-train").string() +
                  " --help")
            .exit_code != 0) {
      continue;
    }
    if (outcome.exit_code == 0) {
      ++done;
    } else {
      CHECK(outcome.exit_code == 4);
      // A file that cannot be mapped is the model's error, which says so.
      CHECK_THAT(outcome.err, Contains("[memory] ") || Contains("Cannot allocate memory"));
      ++refused;
    }
    if (outcome.exit_code == 0 || refused % 4 != 1) continue;
    const Outcome resumed = run({"lora-train", recipe, "--resume"});
    CAPTURE(resumed.err);
    REQUIRE(resumed.exit_code == 0);
    CHECK(comparable(directory / "run") == comparable(whole / "run"));
    CHECK(weights(directory / "run", 6) == weights(whole / "run", 6));
  }
  CHECK(refused > 0);
  CHECK(done > 0);
}

namespace {

// One message, ours or that of a library which ends the process by itself.
bool ends_by_memory(const Outcome& outcome) {
  const auto says = [&](const char* text) { return outcome.err.find(text) != std::string::npos; };
  if (outcome.exit_code == 4) return says("[memory] ") || says("Cannot allocate memory");
  if (outcome.exit_code == 5) return says("Cannot allocate memory");
  if (outcome.exit_code == 1) return says("libgomp: Out of memory");
  return outcome.exit_code == 1000 + SIGABRT && says("failed to register TLS destructor: out of memory");  // glibc
}

// The n-th allocation of a run fails, for `count` random n: one message and its exit code, or no harm; then the same
// bits.
void fail_allocations(size_t count, unsigned seed) {
  HurtRun run("export: [peft]\n");
  const TemporaryDirectory files;
  run.start({"LORA_FAULT_ALLOCATIONS=" + (files / "number").string()});
  const auto allocations = std::stoll(read_bytes(files / "number"));
  REQUIRE(allocations > 10'000);
  std::mt19937_64 generator(seed);
  std::vector<std::string> wrong;
  for (size_t i = 0; i < count; ++i) {
    const auto n = static_cast<long long>(generator() % static_cast<uint64_t>(allocations)) + 1;
    run.reset();
    fs::remove(files / "stack");
    Outcome outcome =
        run.start({"LORA_FAULT_ALLOCATION=" + std::to_string(n), "LORA_FAULT_STACK=" + (files / "stack").string()});
    const std::string said = "allocation " + std::to_string(n) + ": exit code " + std::to_string(outcome.exit_code) +
                             ": " + outcome.err + read_bytes(files / "stack");
    if (outcome.exit_code != 0 && !ends_by_memory(outcome)) {
      wrong.push_back(said);
      continue;
    }
    if (const std::string broken = what_is_wrong(run.run(), run.whole()); !broken.empty()) wrong.push_back(broken);
    const Outcome resumed = run.start({}, {"--resume"});
    if (resumed.exit_code != 0) wrong.push_back(said + ", then " + resumed.err);
    // LibTorch goes on without knowing the processor, where it cannot keep what it finds out.
    if (outcome.err.find("LibTorch does not use the AVX2") != std::string::npos) continue;
    const std::string differs = difference(run.whole(), comparable_files(run.run()));
    if (!differs.empty()) wrong.push_back(said + ", then " + differs);
  }
  for (const std::string& one : wrong) UNSCOPED_INFO(one);
  CAPTURE(allocations, wrong.size());
  CHECK(wrong.empty());
}

}  // namespace

TEST_CASE("B: n-th malloc fails, a sample", "[.long]") { fail_allocations(8, 1); }

TEST_CASE("B: n-th malloc fails, 300 of them", "[.sweep]") { fail_allocations(300, 2); }

TEST_CASE("B: clock jumps: the bits are the same, and no time is negative") {
  HurtRun run("export: [peft]\n");
  const Outcome outcome = run.start({"LORA_FAULT_CLOCK=1"});
  CAPTURE(outcome.err);
  CHECK(run.check(outcome, false) == "");
  for (const auto& row : metrics(run.run())) {
    if (row.contains("loss")) CHECK(row["tokens_per_second"].get<double>() > 0);
  }
  run.reset();
  run.start({"LORA_FAULT_CLOCK=1", "LORA_FAULT=kill", "LORA_FAULT_CALL=100"});
  CHECK(run.start({"LORA_FAULT_CLOCK=1"}, {"--resume"}).exit_code == 0);
  CHECK(difference(run.whole(), comparable_files(run.run())) == "");
}

TEST_CASE("B: repeated non-finite steps: exit code 6, and nothing is published") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory, "export: [peft]\n");
  const Outcome outcome = run({"lora-train", recipe, "training.learning_rate=1e38", "training.lr_schedule=constant",
                               "training.checkpoint_every=0", "training.eval_every=0"});
  CAPTURE(outcome.out, outcome.err);
  CHECK(outcome.exit_code == 6);
  CHECK_THAT(outcome.err, Contains("[numerics] step "));
  CHECK_FALSE(fs::exists(directory / "run/adapter"));
  CHECK(CheckpointStore(directory / "run").steps().empty());
}

TEST_CASE("B: thread count changed: warned that the bits are others") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  REQUIRE(run({"lora-train", recipe, "training.threads=1"}).exit_code == 0);
  const Outcome changed = run({"lora-train", recipe, "--resume", "training.threads=2", "training.max_steps=8"});
  CAPTURE(changed.err);
  CHECK(changed.exit_code == 0);
  CHECK_THAT(changed.err, Contains("was trained with 1 threads, this process has 2") &&
                              Contains("the bits are not those of an uninterrupted run"));
}
