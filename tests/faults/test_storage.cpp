// Disks that are full, read-only or broken, run directories that are taken, and checkpoints that are damaged, moved or
// of another run.

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "lora/checkpoints/manifest.h"
#include "models/base/atomic_file.h"
#include "tests/app/runs.h"
#include "tests/faults/hurt_run.h"

using namespace lora;
using namespace lora::test;
namespace fs = std::filesystem;
using Catch::Matchers::Contains;

namespace {

std::string in_quotes(const fs::path& path) { return "'" + path.string() + "'"; }

Outcome in_shell(const std::string& line) { return run({"/bin/bash", "-c", line}); }

// Numbers, from 1, of the calls that match.
std::vector<size_t> calls_like(const std::vector<std::string>& calls, const std::string& kind,
                               const std::string& part) {
  std::vector<size_t> found;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (calls[i].starts_with(kind + " ") && calls[i].find(part) != std::string::npos) found.push_back(i + 1);
  }
  REQUIRE_FALSE(found.empty());
  return found;
}

std::vector<std::string> fault(const std::string& what, int error, size_t call) {
  return {"LORA_FAULT=" + what + ":" + std::to_string(error), "LORA_FAULT_CALL=" + std::to_string(call)};
}

// Waits until a file or directory is there.
bool appears(const fs::path& path) {
  for (int tries = 0; tries < 6000 && !fs::exists(path); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return fs::exists(path);
}

// A mount namespace of one's own is not allowed everywhere.
bool can_mount() {
  if (in_shell("unshare -rm true").exit_code == 0) return true;
  std::puts("SKIPPED: this system gives a test no mount namespace");
  return false;
}

constexpr char kSaves[] = "/checkpoints/";

}  // namespace

TEST_CASE("A: SIGKILL at random: scripts/kills, a sample", "[.long]") {
  const fs::path build = LORA_BINARY_DIR;
  const Outcome outcome =
      in_shell(in_quotes(source_dir() / "scripts/kills") + " --build " + in_quotes(build) + " --kills 100 --seed 7");
  CAPTURE(outcome.out, outcome.err);
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("0 with other bits"));
}

TEST_CASE("A: kill between optimizer and scheduler: before and after an update is told to the metrics") {
  HurtRun run;
  const auto calls = run.calls();
  int change = 0, rows = 0;
  for (const std::string& call : calls) {
    if (!call.starts_with("*")) continue;
    ++change;
    if (!call.starts_with("*write ") || !call.ends_with("/metrics.jsonl") || ++rows > 4) continue;
    for (const char* when : {"kill", "kill-after"}) {
      run.reset();
      CAPTURE(call, when);
      CHECK(run.check(run.start({std::string("LORA_FAULT=") + when, "LORA_FAULT_CALL=" + std::to_string(change)}),
                      true) == "");
    }
  }
  CHECK(rows >= 4);
}

TEST_CASE("A: kill while pruning: a valid checkpoint stays, and the run resumes with the same bits") {
  HurtRun run;
  const auto calls = run.calls();
  int change = 0, pruning = 0;
  for (const std::string& call : calls) {
    if (!call.starts_with("*")) continue;
    ++change;
    if (call.find("/.trash-step-000001") == std::string::npos || pruning++ % 2 != 0) continue;
    run.reset();
    CAPTURE(call);
    CHECK(run.check(run.start({"LORA_FAULT=kill", "LORA_FAULT_CALL=" + std::to_string(change)}), true) == "");
  }
  CHECK(pruning > 5);
}

TEST_CASE("A: ENOSPC, transient: once, then space again") {
  HurtRun run;
  const auto calls = run.calls();
  for (const char* part : {"/metrics.jsonl", "/.optimizer.safetensors", "/.manifest.json", "/.recipe.yaml"}) {
    run.reset();
    CAPTURE(part);
    const Outcome outcome = run.start(fault("fail", ENOSPC, calls_like(calls, "*write", part).back()));
    CHECK(outcome.exit_code == 5);
    CHECK_THAT(outcome.err, Contains("No space left on device; free some space"));
    CHECK(run.check(outcome, false) == "");
  }
}

TEST_CASE("A: ENOSPC, persistent: a disk that is full ends the run, and with space it resumes") {
  if (!can_mount()) return;
  const TemporaryDirectory directory;
  const fs::path small = directory / "small";
  fs::create_directory(small);
  const std::string recipe = quickstart_recipe(directory), train = in_quotes(program("lora-train")) + " " + recipe;
  REQUIRE(in_shell(train + " output_dir=" + (small / "run").string()).exit_code == 0);
  fs::rename(small / "run", directory / "whole");
  const std::string here = "output_dir=" + (small / "run").string(), place = in_quotes(small);
  const Outcome outcome = in_shell("unshare -rm bash -c \"set -e; mount -t tmpfs -o size=140k none " + place +
                                   "; set +e; " + train + " " + here + " && exit 1; [ \\$? = 5 ] || exit 2; ls " +
                                   place + "/run/checkpoints | grep -q '^step-' || exit 3; mount -o remount,size=20m " +
                                   place + " || exit 4; " + train + " " + here + " --resume || exit 5; cp -r " + place +
                                   "/run " + in_quotes(directory / "resumed") + "\"");
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.err, Contains("[storage] ") && Contains("No space left on device"));
  CHECK(comparable(directory / "resumed") == comparable(directory / "whole"));
  CHECK(weights(directory / "resumed", 6) == weights(directory / "whole", 6));
}

TEST_CASE("A: ENOSPC while LibTorch writes a file: the export ends by name, not by a signal") {
  HurtRun run("export: [torchscript]\n");
  const auto calls = run.calls();
  const auto writes = calls_like(calls, "*write", "/.merged.pt.tmp-");
  REQUIRE(writes.size() > 10);
  for (const size_t call : {writes.front(), writes[writes.size() / 2], writes.back()}) {
    for (const char* what : {"fail", "fail-on"}) {
      run.reset();
      const Outcome outcome = run.start(fault(what, ENOSPC, call));
      CAPTURE(call, what, outcome.err);
      CHECK(outcome.exit_code == 5);
      CHECK_THAT(outcome.err, Contains("merged.pt") && Contains("No space left on device"));
      CHECK(run.check(outcome, false) == "");
    }
  }
}

TEST_CASE("A: fsync EIO is never retried to success") {
  HurtRun run;
  const TemporaryDirectory files;
  const auto calls = run.calls();
  const auto flushes = calls_like(calls, "fsync", kSaves);
  REQUIRE(flushes.size() > 20);
  for (size_t i = 0; i < flushes.size(); i += flushes.size() / 8) {
    run.reset();
    fs::remove(files / "trace");
    auto faults = fault("fail", EIO, flushes[i]);
    faults.push_back("LORA_FAULT_TRACE=" + (files / "trace").string());
    const Outcome outcome = run.start(faults);
    CAPTURE(calls[flushes[i] - 1], outcome.err);
    CHECK(outcome.exit_code == 5);
    CHECK_THAT(outcome.err, Contains("cannot flush to disk: Input/output error"));
    std::vector<std::string> lines;
    std::ifstream trace(files / "trace");
    for (std::string line; std::getline(trace, line);) lines.push_back(line);
    const std::string failed = lines.at(flushes[i] - 1);
    REQUIRE(failed.starts_with("fsync "));
    CHECK(std::count(lines.begin() + static_cast<long>(flushes[i]), lines.end(), failed) == 0);
    CHECK(run.check(outcome, false) == "");
  }
}

TEST_CASE("A: short writes and EINTR are made good") {
  HurtRun run;
  const auto calls = run.calls();
  const auto expect_unhurt = [&](const std::vector<std::string>& faults) {
    run.reset();
    const Outcome outcome = run.start(faults);
    CAPTURE(faults, outcome.err);
    CHECK(outcome.exit_code == 0);
    CHECK(run.check(outcome, false) == "");
  };
  for (const char* part : {"/metrics.jsonl", "/.state.json", "/.adapter_model.safetensors", "/.lock"}) {
    const size_t call = calls_like(calls, "*write", part).front();
    expect_unhurt({"LORA_FAULT=short", "LORA_FAULT_CALL=" + std::to_string(call)});
    expect_unhurt(fault("fail", EINTR, call));
  }
  for (const char* kind : {"fsync", "*open", "close"}) {
    expect_unhurt(fault("fail", EINTR, calls_like(calls, kind, "state.json").front()));
  }
  expect_unhurt(fault("fail", EINTR, calls_like(calls, "flock", "/.lock").front()));
}

TEST_CASE("A: rename EXDEV or EACCES: the old file or none, and the run resumes") {
  HurtRun run;
  const auto calls = run.calls();
  for (const char* part : {"/run/recipe.yaml", "/state.json", "/manifest.json", "/step-000002"}) {
    for (const int error : {EXDEV, EACCES}) {
      run.reset();
      const Outcome outcome = run.start(fault("fail", error, calls_like(calls, "*rename", part).back()));
      CAPTURE(part, error, outcome.err);
      CHECK(outcome.exit_code == 5);
      CHECK_THAT(outcome.err, Contains("cannot put in its place"));
      CHECK(run.check(outcome, false) == "");
    }
  }
}

TEST_CASE("A: RLIMIT_FSIZE: a file that may not grow ends the run by name, not by a signal") {
  const TemporaryDirectory whole, directory;
  REQUIRE(run({"lora-train", quickstart_recipe(whole)}).exit_code == 0);
  const std::string recipe = quickstart_recipe(directory);
  const Outcome outcome = in_shell("ulimit -f 12; exec " + in_quotes(program("lora-train")) + " " + recipe);
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 5);
  CHECK_THAT(outcome.err, Contains("[storage] ") && Contains("File too large") && Contains("ulimit -f"));
  CHECK(CheckpointStore(directory / "run").steps().empty());
  REQUIRE(run({"lora-train", recipe, "--resume"}).exit_code == 0);
  CHECK(comparable(directory / "run") == comparable(whole / "run"));
  CHECK(weights(directory / "run", 6) == weights(whole / "run", 6));
}

TEST_CASE("A: close() error of a file that is saved ends the run") {
  HurtRun run;
  const auto calls = run.calls();
  for (const char* part : {"/adapter_model.safetensors", "/manifest.json", "/optimizer.safetensors"}) {
    run.reset();
    const Outcome outcome = run.start(fault("fail", EIO, calls_like(calls, "close", part).back()));
    CAPTURE(part, outcome.err);
    CHECK(outcome.exit_code == 5);
    CHECK_THAT(outcome.err, Contains("cannot close: Input/output error"));
    CHECK(run.check(outcome, false) == "");
  }
}

TEST_CASE("A: EMFILE: from some file on no more can be opened") {
  HurtRun run("export: [peft]\n");
  const auto calls = run.calls();
  const auto opens = calls_like(calls, "*open", "");
  for (size_t i = 0; i < opens.size(); i += opens.size() / 6) {
    run.reset();
    const Outcome outcome = run.start(fault("fail-on", EMFILE, opens[i]));
    CAPTURE(calls[opens[i] - 1], outcome.err);
    if (outcome.exit_code == 5) CHECK_THAT(outcome.err, Contains("Too many open files"));
    CHECK(run.check(outcome, false) == "");
  }
}

TEST_CASE("A: read-only directory: refused before the model is read") {
  if (!can_mount()) return;
  const TemporaryDirectory directory;
  fs::create_directory(directory / "place");
  fs::copy(quickstart() / "model", directory / "model", fs::copy_options::recursive);
  fs::permissions(directory / "model/model.safetensors", fs::perms::owner_write, fs::perm_options::add);
  fs::resize_file(directory / "model/model.safetensors", 1000);  // reading it would be exit code 4
  const std::string recipe = quickstart_recipe(directory);
  const Outcome outcome =
      in_shell("unshare -rm bash -c \"mount -t tmpfs -o ro none " + in_quotes(directory / "place") + " || exit 1; " +
               in_quotes(program("lora-train")) + " " + recipe + " model.path=" + (directory / "model").string() +
               " output_dir=" + (directory / "place/run").string() + "\"");
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 5);
  CHECK_THAT(outcome.err, Contains((directory / "place/run").string()) && Contains("Read-only file system"));
}

TEST_CASE("A: output is a file or a symlink") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  write_bytes(directory / "file", "mine");
  fs::create_symlink(directory / "file", directory / "to-file");
  fs::create_symlink(directory / "nowhere", directory / "dangling");
  for (const char* name : {"file", "to-file", "file/below", "dangling"}) {
    CAPTURE(name);
    check_refused({"lora-train", recipe, "output_dir=" + (directory / name).string()}, 5,
                  {(directory / name).string()});
  }
  CHECK(read_bytes(directory / "file") == "mine");
  CHECK_FALSE(fs::exists(directory / "nowhere"));
  // A link to a directory is that directory.
  fs::create_directory(directory / "disk");
  fs::create_directory_symlink(directory / "disk", directory / "link");
  REQUIRE(run({"lora-train", recipe, "output_dir=" + (directory / "link").string()}).exit_code == 0);
  CHECK(CheckpointStore(directory / "disk").newest_whole().checkpoint->step == 6);
}

TEST_CASE("A: concurrent run: the lock refuses it, and is free after SIGKILL") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  Command first({"lora-train", recipe, "training.max_steps=1000000", "training.eval_every=0"});
  const bool saved = appears(directory / "run/checkpoints/step-000002");
  if (saved) check_refused({"lora-train", recipe, "--resume"}, 5, {"another process (pid ", "is writing to this run"});
  first.send(SIGKILL);
  CHECK(first.wait().exit_code == 1000 + SIGKILL);
  REQUIRE(saved);
  const auto newest = CheckpointStore(directory / "run").newest_whole();
  REQUIRE(newest.checkpoint);
  const std::string steps = std::to_string(newest.checkpoint->step + 2);
  const Outcome resumed = run({"lora-train", recipe, "--resume", "training.max_steps=" + steps});
  CAPTURE(resumed.err);
  CHECK(resumed.exit_code == 0);
}

TEST_CASE("A: bit flip: it is detected, the older checkpoint is used, with a warning, and the bits are the same") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const fs::path out = directory / "run";
  const std::string expected = weights(out, 6);
  const auto rows = comparable(out);
  const fs::path newest = CheckpointStore(out).directory(6);
  int flips = 0;
  for (const auto& item : fs::directory_iterator(newest)) {
    const std::string bytes = read_bytes(item.path());
    for (const size_t at : {size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ 4);
      write_bytes(item.path(), flipped);
      CAPTURE(item.path(), at);
      const NewestCheckpoint found = CheckpointStore(out).newest_whole();
      // A flip in a manifest's white space changes nothing.
      if (item.path().filename() != "manifest.json") {
        REQUIRE(found.checkpoint);
        CHECK(found.checkpoint->step == 4);
        REQUIRE(found.skipped.size() == 1);
        CHECK_THAT(found.skipped.front().reason, Contains(item.path().filename().string()) && Contains("SHA-256"));
        ++flips;
      }
      write_bytes(item.path(), bytes);
    }
  }
  CHECK(flips >= 18);
  std::string moments = read_bytes(newest / "optimizer.safetensors");
  moments.back() = static_cast<char>(moments.back() ^ 1);
  write_bytes(newest / "optimizer.safetensors", moments);
  const Outcome outcome = run({"lora-train", recipe, "--resume"});
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.err, Contains("step-000006 is damaged and passed over: optimizer.safetensors"));
  CHECK_THAT(outcome.out, Contains("Resuming after step 4"));
  CHECK(weights(out, 6) == expected);
  CHECK(comparable(out) == rows);
}

TEST_CASE("A: truncation at each byte, a sample of them: the checkpoint is not whole") {
  const TemporaryDirectory directory;
  REQUIRE(run({"lora-train", quickstart_recipe(directory)}).exit_code == 0);
  const fs::path newest = CheckpointStore(directory / "run").directory(6);
  int cuts = 0;
  for (const auto& item : fs::directory_iterator(newest)) {
    const std::string bytes = read_bytes(item.path());
    const size_t every = std::max<size_t>(1, bytes.size() / 300);
    for (size_t size = 0; size < bytes.size(); size += every) {
      // The manifest's last line break says nothing.
      if (item.path().filename() == "manifest.json" && size + 1 == bytes.size()) continue;
      write_bytes(item.path(), bytes.substr(0, size));
      CAPTURE(item.path(), size);
      REQUIRE(find_damage(newest, 6));
      ++cuts;
    }
    write_bytes(item.path(), bytes);
  }
  CHECK(cuts > 1500);
  REQUIRE_FALSE(find_damage(newest, 6));
}

TEST_CASE("A: manifest absent: the checkpoint is passed over, and kept for a person to look at") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const std::string expected = weights(directory / "run", 6);
  fs::remove(directory / "run/checkpoints/step-000006/manifest.json");
  const Outcome outcome = run({"lora-train", recipe, "--resume"});
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.err, Contains("step-000006 is damaged and passed over: manifest.json: missing"));
  CHECK(weights(directory / "run", 6) == expected);
}

TEST_CASE("A: checkpoint copied elsewhere loads, resumes and exports") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory, "export: [peft]\n");
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const fs::path there = directory / "elsewhere";
  fs::create_directories(there / "checkpoints");
  fs::copy(directory / "run/checkpoints/step-000004", there / "checkpoints/step-000004", fs::copy_options::recursive);
  fs::rename(directory / "run", directory / "gone");
  const Outcome exported = run({"lora-export", (there / "checkpoints/step-000004").string(), "--format", "peft",
                                "--output", (directory / "adapter").string()});
  CAPTURE(exported.err);
  CHECK(exported.exit_code == 0);
  const Outcome resumed = run({"lora-train", recipe, "--resume", "output_dir=" + there.string()});
  CAPTURE(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK(weights(there, 6) == weights(directory / "gone", 6));
}

TEST_CASE("A: retention keeps best and newest") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  const std::vector<std::string> arguments = {"lora-train",
                                              recipe,
                                              "training.max_steps=10",
                                              "training.eval_every=1",
                                              "training.checkpoint_every=1",
                                              "training.checkpoint_keep=1",
                                              "training.learning_rate=0.05",
                                              "training.lr_schedule=constant"};
  REQUIRE(run(arguments).exit_code == 0);
  const auto state = nlohmann::json::parse(read_bytes(directory / "run/checkpoints/step-000010/state.json"));
  std::set<int64_t> kept = {state["best_step"].get<int64_t>(), 10};
  const auto steps = CheckpointStore(directory / "run").steps();
  CHECK(std::set<int64_t>(steps.begin(), steps.end()) == kept);
}

TEST_CASE("A: resume with a changed recipe: what means another training is named and refused, nothing is touched") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const Files before = comparable_files(directory / "run");
  check_refused({"lora-train", recipe, "--resume", "adapter.rank=8", "training.seed=7"}, 2,
                {"adapter.rank", "training.seed", "step-000006"});
  CHECK(difference(before, comparable_files(directory / "run")) == "");
}

TEST_CASE("A: failed save prunes nothing") {
  HurtRun run;
  const auto calls = run.calls();
  const size_t saves = calls_like(calls, "*mkdir", "/checkpoints/.tmp-step-000003").front();
  const size_t placed = calls_like(calls, "*rename", "/step-000003").front();
  for (size_t call = saves; call <= placed; ++call) {
    if (!calls[call - 1].starts_with("*")) continue;
    run.reset();
    const Outcome outcome = run.start(fault("fail", EIO, call));
    CAPTURE(calls[call - 1], outcome.err);
    CHECK(outcome.exit_code == 5);
    CHECK(CheckpointStore(run.run()).newest_whole().checkpoint->step == 2);
    call += 3;  // a sample
  }
}
