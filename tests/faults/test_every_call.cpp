// Every call on a file that a run makes, hurt: by SIGKILL around it, and by each error that it can have.

#include <errno.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "tests/catch.h"
#include "tests/faults/hurt_run.h"

using namespace lora;
using namespace lora::test;

namespace {

constexpr char kEveryExport[] = "export: [peft, huggingface, torchscript, gguf]\n";

// One hurt start.
struct Hurt {
  std::vector<std::string> faults, more;  // environment; arguments
  bool killed = false;
  std::string what;
};

// Does all of them, two side by side, each on a directory of its own, and reports what was wrong.
void hurt_all(const std::function<std::unique_ptr<HurtRun>()>& make, const std::vector<Hurt>& hurts) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::vector<std::string> wrong;
  std::vector<std::unique_ptr<HurtRun>> runs;
  for (int i = 0; i < 2; ++i) runs.push_back(make());
  std::vector<std::thread> workers;
  for (auto& run : runs) {
    workers.emplace_back([&] {
      for (size_t i; (i = next++) < hurts.size();) {
        run->reset();
        std::string found;
        try {
          found = run->check(run->start(hurts[i].faults, hurts[i].more), hurts[i].killed);
        } catch (const std::exception& error) {
          found = error.what();
        }
        const std::lock_guard lock(mutex);
        if (!found.empty()) wrong.push_back(hurts[i].what + ": " + found);
      }
    });
  }
  for (auto& worker : workers) worker.join();
  for (const std::string& one : wrong) UNSCOPED_INFO(one);
  CAPTURE(hurts.size());
  CHECK(wrong.empty());
}

// `count` of them, evenly; 0: all.
std::vector<Hurt> sample(const std::vector<Hurt>& all, size_t count) {
  if (count == 0 || count >= all.size()) return all;
  std::vector<Hurt> some;
  for (size_t i = 0; i < count; ++i) some.push_back(all[(2 * i + 1) * all.size() / (2 * count)]);
  return some;
}

// Before every call that changes the disk, and after the last.
std::vector<Hurt> kills(const std::vector<std::string>& calls, const std::vector<std::string>& more = {}) {
  std::vector<Hurt> hurts;
  int change = 0;
  for (const std::string& call : calls) {
    if (!call.starts_with("*")) continue;
    const std::string number = std::to_string(++change);
    hurts.push_back(
        {{"LORA_FAULT=kill", "LORA_FAULT_CALL=" + number}, more, true, "killed before " + number + ", " + call});
  }
  const std::string last = std::to_string(change);
  hurts.push_back({{"LORA_FAULT=kill-after", "LORA_FAULT_CALL=" + last}, more, true, "killed after " + last});
  return hurts;
}

// The errors that a kind of call can have.
std::vector<int> errors_of(const std::string& call) {
  const std::string kind = call.substr(0, call.find(' '));
  if (kind == "*open") return {ENOSPC, EACCES, EMFILE, EIO, EDQUOT, EINTR};
  if (kind == "open") return {EACCES, EMFILE, EIO, EINTR};
  if (kind == "*write") return {ENOSPC, EIO, EDQUOT, EINTR};
  if (kind == "read") return {EIO, EINTR};
  if (kind == "mmap") return {ENOMEM, EACCES};
  if (kind == "fsync" || kind == "close") return {EIO, ENOSPC, EDQUOT, EINTR};
  if (kind == "*rename") return {EXDEV, EACCES, ENOSPC, EIO, EDQUOT};
  if (kind == "*mkdir") return {ENOSPC, EACCES, EDQUOT, EIO};
  if (kind == "*truncate") return {EIO, EINTR};
  if (kind == "flock") return {EINTR, EIO};
  return {EACCES, EIO};  // unlink, rmdir, stat
}

// `only`: of these errors, where it is not empty.
std::vector<Hurt> errors(const std::vector<std::string>& calls, const std::string& fault,
                         const std::set<int>& only = {}, const std::vector<std::string>& more = {}) {
  std::vector<Hurt> hurts;
  for (size_t i = 0; i < calls.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    for (const int error : errors_of(calls[i])) {
      if (!only.empty() && !only.contains(error)) continue;
      hurts.push_back({{"LORA_FAULT=" + fault + ":" + std::to_string(error), "LORA_FAULT_CALL=" + number},
                       more,
                       false,
                       fault + " " + ::strerrorname_np(error) + " at " + number + ", " + calls[i]});
    }
    if (fault == "fail" && calls[i].starts_with("*write") && (only.empty() || only.contains(EINTR))) {
      hurts.push_back({{"LORA_FAULT=short", "LORA_FAULT_CALL=" + number}, more, false, "short at " + number});
    }
  }
  return hurts;
}

std::unique_ptr<HurtRun> fresh() { return std::make_unique<HurtRun>(kEveryExport); }

// A run that was killed in its third step: of the calls that it makes until it has a second checkpoint, the last.
std::unique_ptr<HurtRun> broken_off() {
  auto run = fresh();
  const std::vector<std::string> calls = run->calls();
  int change = 0, rows = 0;
  for (const std::string& call : calls) {
    if (!call.starts_with("*")) continue;
    ++change;
    if (call.ends_with("/metrics.jsonl") && call.starts_with("*write") && ++rows == 3) break;
  }
  run->reset();
  run->start({"LORA_FAULT=kill-after", "LORA_FAULT_CALL=" + std::to_string(change)});
  run->keep();
  return run;
}

// A run that is complete, and is resumed: nothing is left but to export.
std::unique_ptr<HurtRun> complete() {
  auto run = fresh();
  run->start({});
  run->keep();
  return run;
}

const std::vector<std::string> kResume = {"--resume"}, kRestart = {"--restart"};

}  // namespace

TEST_CASE("A: SIGKILL before system calls of saves, pruning and exports, a sample") {
  hurt_all(fresh, sample(kills(fresh()->calls()), 8));
}

TEST_CASE("A: SIGKILL around every system call of saves, pruning, exports, the cache and the metrics", "[.sweep]") {
  hurt_all(fresh, kills(fresh()->calls()));
}

TEST_CASE("A: kill during resume, a sample") {
  hurt_all(broken_off, sample(kills(broken_off()->calls(kResume), kResume), 6));
}

TEST_CASE("A: kill during resume, at every system call", "[.sweep]") {
  hurt_all(broken_off, kills(broken_off()->calls(kResume), kResume));
}

TEST_CASE("A: kill during the export of a complete run, at every system call", "[.sweep]") {
  hurt_all(complete, kills(complete()->calls(kResume), kResume));
}

TEST_CASE("A: system calls that fail once, a sample", "[.long]") {
  hurt_all(fresh, sample(errors(fresh()->calls(), "fail"), 20));
}

// Some ten minutes each.
TEST_CASE("A: every system call fails once with EIO", "[.sweep]") {
  hurt_all(fresh, errors(fresh()->calls(), "fail", {EIO}));
}

TEST_CASE("A: every system call fails once with ENOSPC", "[.sweep]") {
  hurt_all(fresh, errors(fresh()->calls(), "fail", {ENOSPC}));
}

TEST_CASE("A: every system call fails once with EDQUOT", "[.sweep]") {
  hurt_all(fresh, errors(fresh()->calls(), "fail", {EDQUOT}));
}

TEST_CASE("A: every system call fails once with EACCES, EMFILE, EXDEV or ENOMEM", "[.sweep]") {
  hurt_all(fresh, errors(fresh()->calls(), "fail", {EACCES, EMFILE, EXDEV, ENOMEM}));
}

TEST_CASE("A: every system call is interrupted once, and every write is short once", "[.sweep]") {
  hurt_all(fresh, errors(fresh()->calls(), "fail", {EINTR}));
}

TEST_CASE("A: every system call of a resumed run fails once with EIO", "[.sweep]") {
  hurt_all(broken_off, errors(broken_off()->calls(kResume), "fail", {EIO}, kResume));
}

TEST_CASE("A: every system call of a resumed run fails once with each other error", "[.sweep]") {
  hurt_all(broken_off, errors(broken_off()->calls(kResume), "fail",
                              {ENOSPC, EDQUOT, EACCES, EMFILE, EXDEV, ENOMEM, EINTR}, kResume));
}

// No signal interrupts every call for ever, and the standard library tries such a call again without end.
TEST_CASE("A: from some system call on, all of its kind fail, a sample", "[.long]") {
  hurt_all(fresh,
           sample(errors(fresh()->calls(), "fail-on", {ENOSPC, EIO, EDQUOT, EACCES, EMFILE, EXDEV, ENOMEM}), 40));
}
