#pragma once
// A small run of lora-train that is hurt: killed or failed at one of its file calls by the interposed library, and then
// compared with the same run left alone.

#include <sys/types.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/app/command.h"
#include "tests/temporary_directory.h"

namespace lora::test {

using Files = std::map<std::string, std::string>;  // name below the run directory -> bytes

// A program with the interposed library, loaded once. Each run is a process of its own, forked where main begins.
class LoadedProgram {
 public:
  explicit LoadedProgram(const std::string& name);
  ~LoadedProgram();
  LoadedProgram(const LoadedProgram&) = delete;
  LoadedProgram& operator=(const LoadedProgram&) = delete;

  // `faults` are NAME=VALUE of its environment; see tests/faults/interposed/parts.h. An exit code over 1000 is a
  // signal's number.
  Outcome run(const std::vector<std::string>& faults, const std::vector<std::string>& arguments);

 private:
  TemporaryDirectory files_;
  FILE* requests_ = nullptr;
  FILE* answers_ = nullptr;
  pid_t server_ = -1;
};

// What two runs have to have in common: every file but the lock and report.html; of metrics.jsonl all but times and
// memory.
Files comparable_files(const std::filesystem::path& run);

// Says in a line what differs; empty: nothing.
std::string difference(const Files& expected, const Files& found);

// What is wrong with a run directory at rest, however its process ended. `whole` are the files of the run left alone.
// No file under a final name is partial, every checkpoint is whole, and one that was acknowledged is there.
std::string what_is_wrong(const std::filesystem::path& run, const Files& whole);

class HurtRun {
 public:
  // `changes` are lines of the recipe, `arguments` follow it on the command line.
  explicit HurtRun(const std::string& changes = "", const std::vector<std::string>& arguments = {});

  std::filesystem::path directory() const { return directory_.path() / "counted"; }  // of which calls count
  std::filesystem::path run() const { return directory() / "run"; }
  const Files& whole() const { return whole_; }  // of the run left alone

  // Lines of the trace of a run left alone: the counted calls, those that change the disk with a star.
  std::vector<std::string> calls(const std::vector<std::string>& more = {});

  // Empties the directory, or puts back what keep() kept.
  void reset();
  void keep();

  Outcome start(const std::vector<std::string>& faults, const std::vector<std::string>& more = {});

  // The whole check after a start that was hurt: its exit code and message, what is on the disk, then --resume and the
  // bits. Empty where all is right.
  std::string check(const Outcome& outcome, bool killed);

 private:
  TemporaryDirectory directory_;
  std::string recipe_;
  std::vector<std::string> arguments_;
  std::unique_ptr<LoadedProgram> program_;
  Files whole_;
};

}  // namespace lora::test
