// The power goes at any moment of a recorded run. A checkpoint that was acknowledged is there, whole, and the run
// resumes from it with the same bits. SIGKILL cannot show a missing flush, since the system keeps what was written.

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "lora/checkpoints/manifest.h"
#include "lora/checkpoints/store.h"
#include "tests/catch.h"
#include "tests/faults/hurt_run.h"
#include "tests/faults/replay.h"

using namespace lora;
using namespace lora::test;
namespace fs = std::filesystem;

namespace {

// A run that is killed twice, resumed, and runs to its end; then a step that is written again, by a recipe with more
// steps. Recorded as one sequence.
struct Recorded {
  std::vector<Event> events;
  std::set<size_t> ends;  // events before which a process ended by itself
};

Recorded record(HurtRun& run, const TemporaryDirectory& files, const std::vector<std::string>& more = {}) {
  const std::vector<std::string> calls = run.calls();
  const auto changes = static_cast<size_t>(std::ranges::count_if(calls, [](const auto& c) { return c[0] == '*'; }));
  run.reset();
  std::vector<std::string> recording = {"LORA_FAULT_RECORD=" + (files / "recording").string()};
  recording.insert(recording.end(), more.begin(), more.end());
  Recorded recorded;
  for (const size_t at : {changes / 9, changes / 5, size_t{0}}) {
    std::vector<std::string> faults = recording;
    if (at > 0) faults.insert(faults.end(), {"LORA_FAULT=kill", "LORA_FAULT_CALL=" + std::to_string(at)});
    const Outcome outcome = run.start(faults, {"--resume"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == (at > 0 ? 1009 : 0));
  }
  recorded.events = read_recording(files / "recording");
  recorded.ends = {recorded.events.size()};
  return recorded;
}

// The step of the newest checkpoint that was acknowledged before each event: its directory was put in place, and the
// run has gone on to write metrics, to remove an older checkpoint or to end.
std::vector<int64_t> acknowledged_before(const Recorded& recorded) {
  std::vector<int64_t> steps;
  int64_t placed = 0, acknowledged = 0;
  std::set<uint64_t> metrics;
  const auto step_in = [](const std::string& path) -> int64_t {
    const std::string name = fs::path(path).filename().string();
    return name.starts_with("step-") ? std::stoll(name.substr(5)) : 0;
  };
  for (size_t i = 0; i < recorded.events.size(); ++i) {
    const Event& event = recorded.events[i];
    steps.push_back(acknowledged);
    if (event.kind == Event::Kind::kCreate && event.path.ends_with("/metrics.jsonl")) metrics.insert(event.file);
    if (event.kind == Event::Kind::kWrite && metrics.contains(event.file)) acknowledged = placed;
    if (event.kind != Event::Kind::kRename && event.kind != Event::Kind::kExchange) continue;
    if (const int64_t step = step_in(event.other)) placed = step;
    if (const int64_t step = step_in(event.path); step > 0 && step != placed) acknowledged = placed;
  }
  steps.push_back(recorded.ends.contains(recorded.events.size()) ? placed : acknowledged);
  return steps;
}

std::set<int64_t> steps_in_metrics(const fs::path& run, int64_t to) {
  std::set<int64_t> steps;
  std::ifstream rows(run / "metrics.jsonl");
  for (std::string line; std::getline(rows, line);) {
    const auto row = nlohmann::json::parse(line, nullptr, false);
    if (row.is_object() && row.contains("loss") && row["step"] <= to) steps.insert(row["step"].get<int64_t>());
  }
  return steps;
}

// Empty where the state is as promised.
std::string broken_promise(const HurtRun& run, int64_t acknowledged) {
  CheckpointStore store(run.run());
  const NewestCheckpoint newest = store.newest_whole();
  if (!newest.skipped.empty()) return newest.skipped.front().directory.string() + ": " + newest.skipped.front().reason;
  const int64_t found = newest.checkpoint ? newest.checkpoint->step : 0;
  if (found < acknowledged) {
    return "step " + std::to_string(acknowledged) + " was acknowledged, found " + std::to_string(found);
  }
  for (const int64_t step : store.steps()) {
    if (const auto damage = find_damage(store.directory(step), step)) return *damage;
  }
  if (static_cast<int64_t>(steps_in_metrics(run.run(), found).size()) != found) return "metrics lack rows";
  return what_is_wrong(run.run(), run.whole());  // the exports too, each whole or absent
}

struct Replayed {
  size_t states = 0;
  std::vector<std::string> wrong;
};

// Plays the recording and cuts the power before every `every`-th event. `keep` leaves events out.
Replayed replay(HurtRun& run, const Recorded& recorded, size_t every, size_t random,
                const std::function<bool(const Event&)>& keep = {}) {
  const std::vector<int64_t> acknowledged = acknowledged_before(recorded);
  std::mt19937_64 generator(1);
  Disk disk(run.directory());
  Replayed result;
  for (size_t i = 0; i <= recorded.events.size(); ++i) {
    if (i % every == 0 || i == recorded.events.size()) {
      for (const Disk::Choice& choice : choices(disk, random, generator)) {
        materialize(disk.after_power_loss(choice), run.directory());
        ++result.states;
        const std::string broken = broken_promise(run, acknowledged[i]);
        if (!broken.empty()) result.wrong.push_back("before event " + std::to_string(i) + ": " + broken);
      }
    }
    if (i < recorded.events.size() && (!keep || keep(recorded.events[i]))) disk.play(recorded.events[i]);
  }
  return result;
}

void check_all(const Replayed& replayed) {
  for (size_t i = 0; i < std::min<size_t>(replayed.wrong.size(), 20); ++i) UNSCOPED_INFO(replayed.wrong[i]);
  CAPTURE(replayed.states, replayed.wrong.size());
  CHECK(replayed.wrong.empty());
}

constexpr char kExports[] = "export: [peft, huggingface]\n";

}  // namespace

TEST_CASE("A: power loss replay, a sample: acknowledged checkpoints survive") {
  const TemporaryDirectory files;
  HurtRun run(kExports);
  const Replayed replayed = replay(run, record(run, files), 23, 1);
  CHECK(replayed.states > 200);
  check_all(replayed);
}

TEST_CASE("A: power loss replay in 10,000 states: acknowledged checkpoints survive", "[.long]") {
  const TemporaryDirectory files;
  HurtRun run(kExports);
  const Recorded recorded = record(run, files);
  const size_t random = 10'000 / recorded.events.size() + 1;
  const Replayed replayed = replay(run, recorded, 1, random);
  CHECK(replayed.states > 10'000);
  check_all(replayed);
}

TEST_CASE("A: power loss replay of whole programs: --resume gives the same bits", "[.long]") {
  const TemporaryDirectory files;
  HurtRun run(kExports);
  const Recorded recorded = record(run, files);
  std::mt19937_64 generator(2);
  Disk disk(run.directory());
  int resumed = 0;
  for (size_t i = 0; i <= recorded.events.size(); ++i) {
    if (i % 3 == 1 || i == recorded.events.size()) {
      const auto all = choices(disk, 2, generator);
      materialize(disk.after_power_loss(all[generator() % all.size()]), run.directory());
      const Outcome outcome = run.start({}, {"--resume"});
      CAPTURE(i, outcome.err);
      REQUIRE(outcome.exit_code == 0);
      REQUIRE(difference(run.whole(), comparable_files(run.run())) == "");
      ++resumed;
    }
    if (i < recorded.events.size()) disk.play(recorded.events[i]);
  }
  CHECK(resumed > 100);
}

TEST_CASE("A: power loss replay finds what is lost where a program flushes nothing, or only some of it") {
  const TemporaryDirectory files, unflushed;
  HurtRun run(kExports);
  CHECK_FALSE(replay(run, record(run, unflushed, {"LORA_FAULT_NO_SYNC=1"}), 60, 0).wrong.empty());

  const Recorded recorded = record(run, files);
  std::set<uint64_t> directories;
  for (const Event& event : recorded.events) {
    if (event.kind == Event::Kind::kMakeDirectory) directories.insert(event.file);
  }
  const auto is_sync = [](const Event& event) { return event.kind == Event::Kind::kSync; };
  const auto files_alone = [&](const Event& event) { return !is_sync(event) || !directories.contains(event.file); };
  const auto directories_alone = [&](const Event& event) {
    return !is_sync(event) || directories.contains(event.file);
  };
  CHECK_FALSE(replay(run, recorded, 60, 0, files_alone).wrong.empty());
  CHECK_FALSE(replay(run, recorded, 60, 0, directories_alone).wrong.empty());
}
