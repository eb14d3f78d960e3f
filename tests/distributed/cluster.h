#pragma once
// lora-train on several processes of this machine, as mpirun starts it.

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/app/runs.h"

namespace lora::test {

// Whether this build has MPI. Says on stdout where it has not.
inline bool has_mpi() {
  if (std::string(LORA_MPIRUN).empty()) std::puts("SKIPPED: this build has no MPI");
  return !std::string(LORA_MPIRUN).empty();
}

// A short run of several passes a step, in one thread each: as many threads everywhere, so that bits can be compared.
inline std::string cluster_recipe(const TemporaryDirectory& directory, const std::string& changes = "") {
  const std::filesystem::path data = quickstart() / "data";
  write_bytes(directory / "recipe.yaml", "model: {path: " + (quickstart() / "model").string() + R"(, dtype: float32}
adapter: {method: lora, rank: 4, alpha: 8, dropout: 0.1, target_modules: [q_proj, v_proj]}
data:
  train: [{path: )" + (data / "train.jsonl").string() +
                                             R"(, format: completion}]
  validation: [{path: )" + (data / "validation.jsonl").string() +
                                             R"(, format: completion}]
  cleaning: {near_duplicates: "off", contamination: "off"}
training: {max_steps: 6, batch_size: 8, micro_batch_size: 1, max_length: 64, learning_rate: 1.0e-3, threads: 1,
           eval_every: 3, checkpoint_every: 2}
distributed: {timeout: 60s}
output_dir: )" + (directory / "run").string() +
                                             "\n" + changes);
  return (directory / "recipe.yaml").string();
}

// The command line of `processes` processes, each with these arguments of lora-train. `launcher`: more of mpirun's.
inline std::vector<std::string> on_processes(int processes, const std::vector<std::string>& arguments,
                                             const std::vector<std::string>& launcher = {}) {
  std::vector<std::string> line = {"/usr/bin/env",
                                   "OMPI_ALLOW_RUN_AS_ROOT=1",
                                   "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                                   "OMPI_MCA_rmaps_base_oversubscribe=1",
                                   "OMPI_MCA_mpi_yield_when_idle=1",
                                   LORA_MPIRUN};
  line.insert(line.end(), launcher.begin(), launcher.end());
  line.insert(line.end(), {"-n", std::to_string(processes), program("lora-train").string()});
  line.insert(line.end(), arguments.begin(), arguments.end());
  return line;
}

// The same as a command that is under way: its processes can be found, and hurt.
class Cluster {
 public:
  Cluster(int processes, const std::vector<std::string>& arguments, const std::vector<std::string>& launcher = {})
      : command_([&] {
          std::vector<std::string> line = on_processes(processes, arguments, launcher);
          line.insert(line.begin() + 1, mark_);
          return line;
        }()) {}

  // The process of each rank that lives.
  std::map<int, pid_t> ranks() const {
    std::map<int, pid_t> found;
    for (const auto& item : std::filesystem::directory_iterator("/proc")) {
      std::error_code ignored;
      if (!std::filesystem::read_symlink(item.path() / "exe", ignored).filename().string().starts_with("lora-train")) {
        continue;
      }
      const std::string variables = read_bytes(item.path() / "environ");
      const size_t rank = variables.find("OMPI_COMM_WORLD_RANK=");
      if (rank == std::string::npos || variables.find(mark_) == std::string::npos) continue;
      found[std::stoi(variables.substr(rank + 21))] = std::stoi(item.path().filename().string());
    }
    return found;
  }
  void send(int signal) const { command_.send(signal); }  // to mpirun
  void send(int signal, int rank) const { ::kill(ranks().at(rank), signal); }
  Outcome wait() { return command_.wait(); }

 private:
  static std::string next_mark() {
    static int count = 0;
    return "LORA_TEST_CLUSTER=" + std::to_string(::getpid()) + "-" + std::to_string(++count) + "-";
  }
  std::string mark_ = next_mark();
  Command command_;
};

// Waits until a run has made so many steps.
inline bool reaches_step(const std::filesystem::path& run, int64_t step) {
  for (int tries = 0; tries < 20000; ++tries) {
    std::ifstream in(run / "metrics.jsonl");
    int64_t rows = 0;
    for (std::string line; std::getline(in, line);) rows += line.find("\"loss\"") != std::string::npos;
    if (rows >= step) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  return false;
}

// Whether two runs came to the same weights, moments and metrics at a step.
inline void check_same_bits(const std::filesystem::path& found, const std::filesystem::path& expected, int64_t step) {
  CHECK(comparable(found) == comparable(expected));
  CHECK(weights(found, step) == weights(expected, step));
}

}  // namespace lora::test
