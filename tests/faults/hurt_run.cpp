#include "tests/faults/hurt_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <stdexcept>

#include "lora/checkpoints/manifest.h"
#include "lora/checkpoints/store.h"
#include "tests/app/runs.h"
#include "tests/golden.h"

namespace lora::test {
namespace {

namespace fs = std::filesystem;

// What a kill leaves does not depend on the disk, the time does.
fs::path memory_directory() { return fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path(); }

fs::path binary_dir() { return LORA_BINARY_DIR; }

// Every `every`-th line of a file.
std::string some_rows(const fs::path& file, int every) {
  std::ifstream lines(file);
  std::string rows, line;
  for (int i = 0; std::getline(lines, line); ++i) {
    if (i % every == 0) rows += line + "\n";
  }
  return rows;
}

bool is_hidden(const fs::path& relative) {
  return std::ranges::any_of(relative, [](const fs::path& part) { return part.string().starts_with("."); });
}

int64_t last_step(const fs::path& run) {
  int64_t last = 0;
  std::ifstream rows(run / "metrics.jsonl");
  for (std::string line; std::getline(rows, line);) {
    const auto row = nlohmann::json::parse(line, nullptr, false);
    if (row.is_object() && row.contains("loss")) last = row["step"].get<int64_t>();
  }
  return last;
}

}  // namespace

LoadedProgram::LoadedProgram(const std::string& name) : files_(memory_directory()) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  const std::string path = program(name).string();
  const std::string library = (binary_dir() / "tests/libinterposed_faults.so").string();
  server_ = ::fork();
  if (server_ == 0) {
    ::setenv("LD_PRELOAD", library.c_str(), 1);
    ::setenv("LORA_FAULT_SERVE", "1", 1);
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::execl(path.c_str(), path.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  requests_ = ::fdopen(in[1], "w");
  answers_ = ::fdopen(out[0], "r");
}

LoadedProgram::~LoadedProgram() {
  std::fclose(requests_);  // it ends with its input
  std::fclose(answers_);
  ::waitpid(server_, nullptr, 0);
}

Outcome LoadedProgram::run(const std::vector<std::string>& faults, const std::vector<std::string>& arguments) {
  const fs::path out = files_ / "out", err = files_ / "err";
  std::string line = out.string() + "\t" + err.string();
  for (const std::string& fault : faults) line += "\t" + fault;
  line += "\t--";
  for (const std::string& argument : arguments) line += "\t" + argument;
  int process = 0, status = 0;
  if (std::fprintf(requests_, "%s\n", line.c_str()) < 0 || std::fflush(requests_) != 0 ||
      std::fscanf(answers_, "%d %d", &process, &status) != 2) {
    throw std::runtime_error("the loaded program does not answer");
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), read_bytes(out), read_bytes(err)};
}

Files comparable_files(const fs::path& run) {
  Files files;
  if (!fs::exists(run)) return files;
  for (const auto& item : fs::recursive_directory_iterator(run)) {
    // The page tells of times and memory.
    if (!item.is_regular_file() || item.path().filename() == ".lock" || item.path().filename() == "report.html")
      continue;
    const std::string name = item.path().lexically_relative(run).string();
    files[name] = read_bytes(item.path());
    if (item.path().filename() != "metrics.jsonl") continue;
    std::string rows;
    std::istringstream lines(files[name]);
    for (std::string line; std::getline(lines, line);) {
      auto row = nlohmann::json::parse(line, nullptr, false);
      for (const char* key : {"tokens_per_second", "peak_memory_bytes", "mfu"}) row.erase(key);
      rows += row.dump() + "\n";
    }
    files[name] = rows;
  }
  return files;
}

std::string difference(const Files& expected, const Files& found) {
  for (const auto& [name, bytes] : expected) {
    const auto other = found.find(name);
    if (other == found.end()) return name + " is missing";
    if (other->second != bytes) return name + " has other bytes";
  }
  for (const auto& [name, bytes] : found) {
    if (!expected.contains(name)) return name + " is left over";
  }
  return "";
}

std::string what_is_wrong(const fs::path& run, const Files& whole) {
  CheckpointStore store(run);
  int64_t newest = 0;
  for (const int64_t step : store.steps()) {
    if (const auto damage = find_damage(store.directory(step), step)) {
      return store.directory(step).string() + " is not whole: " + *damage;
    }
    newest = step;
  }
  // A checkpoint follows each step, so the row of a step says that the checkpoint before it was acknowledged.
  if (newest + 1 < last_step(run)) {
    return "step " + std::to_string(last_step(run)) + " was made, and the newest checkpoint is " +
           std::to_string(newest);
  }
  if (!fs::exists(run)) return "";
  std::set<std::string> directories;
  for (const auto& item : fs::recursive_directory_iterator(run)) {
    const fs::path name = item.path().lexically_relative(run);
    const std::string first = name.begin()->string();
    if (item.is_directory() && name == first && first != "checkpoints" && !is_hidden(name) &&
        !first.starts_with("old-")) {
      directories.insert(first);
    }
    if (!item.is_regular_file() || is_hidden(name) || first == "metrics.jsonl" || first == "report.html" ||
        first == "checkpoints" || first.starts_with("old-")) {
      continue;
    }
    const auto expected = whole.find(name.string());
    if (expected == whole.end()) return name.string() + " is no file of the run";
    if (read_bytes(item.path()) != expected->second) return name.string() + " is partial";
    if (std::distance(name.begin(), name.end()) > 1) directories.insert(first);
  }
  for (const auto& [name, bytes] : whole) {
    if (directories.contains(fs::path(name).begin()->string()) && !fs::exists(run / name)) {
      return name + " is missing in a directory under its final name";
    }
  }
  return "";
}

HurtRun::HurtRun(const std::string& changes, const std::vector<std::string>& arguments)
    : directory_(memory_directory()), arguments_(arguments), program_(std::make_unique<LoadedProgram>("lora-train")) {
  const fs::path data = quickstart() / "data";
  write_bytes(directory_ / "train.jsonl", some_rows(data / "train.jsonl", 30));
  write_bytes(directory_ / "held.jsonl", some_rows(data / "validation.jsonl", 25));
  recipe_ = (directory_ / "recipe.yaml").string();
  write_bytes(recipe_, "model: {path: " + (quickstart() / "model").string() + R"(, dtype: float32}
adapter: {method: lora, rank: 2, alpha: 4, dropout: 0.1, target_modules: "model.layers.0.self_attn.q_proj"}
data:
  train: [{path: )" + (directory_ / "train.jsonl").string() +
                           R"(, format: completion}]
  validation: [{path: )" + (directory_ / "held.jsonl").string() +
                           R"(, format: completion}]
  cleaning: {contamination: "off"}
training: {max_steps: 4, batch_size: 2, max_length: 64, learning_rate: 1.0e-3, eval_every: 3, checkpoint_every: 1,
           checkpoint_keep: 1, threads: 1}
evaluation: {exact_match: 2, max_new_tokens: 2}
output_dir: )" + run().string() +
                           "\n" + changes);
  reset();
  const Outcome outcome = start({});
  if (outcome.exit_code != 0) throw std::runtime_error("the run left alone fails: " + outcome.err);
  whole_ = comparable_files(run());
  reset();
}

void HurtRun::reset() {
  fs::remove_all(directory());
  fs::create_directory(directory());
  if (fs::exists(directory_ / "kept")) fs::copy(directory_ / "kept", directory(), fs::copy_options::recursive);
}

void HurtRun::keep() {
  fs::remove_all(directory_ / "kept");
  fs::copy(directory(), directory_ / "kept", fs::copy_options::recursive);
}

Outcome HurtRun::start(const std::vector<std::string>& faults, const std::vector<std::string>& more) {
  std::vector<std::string> environment = {"LORA_FAULT_DIRECTORY=" + directory().string(),
                                          "XDG_CACHE_HOME=" + (directory() / "cache").string()};
  environment.insert(environment.end(), faults.begin(), faults.end());
  std::vector<std::string> arguments = {recipe_};
  arguments.insert(arguments.end(), arguments_.begin(), arguments_.end());
  arguments.insert(arguments.end(), more.begin(), more.end());
  return program_->run(environment, arguments);
}

std::vector<std::string> HurtRun::calls(const std::vector<std::string>& more) {
  reset();
  fs::remove(directory_ / "trace");
  const Outcome outcome = start({"LORA_FAULT_TRACE=" + (directory_ / "trace").string()}, more);
  if (outcome.exit_code != 0) throw std::runtime_error("the traced run fails: " + outcome.err);
  std::vector<std::string> lines;
  std::ifstream trace(directory_ / "trace");
  for (std::string line; std::getline(trace, line);) lines.push_back(line);
  return lines;
}

std::string HurtRun::check(const Outcome& outcome, bool killed) {
  const std::string said = " (exit code " + std::to_string(outcome.exit_code) + ", said: " + outcome.err + ")";
  if (killed) {
    if (outcome.exit_code != 1000 + SIGKILL) return "was not killed" + said;
  } else if (outcome.exit_code == 5) {
    if (outcome.err.find("[storage] " + directory().string()) == std::string::npos)
      return "does not name a file" + said;
  } else if (outcome.exit_code == 4) {  // an adapter or a model that an export reads back
    if (outcome.err.find("[model] " + directory().string()) == std::string::npos) return "does not name a file" + said;
  } else if (outcome.exit_code != 0) {
    return "expected exit code 5 or 0" + said;
  } else if (const std::string differs = difference(whole_, comparable_files(run())); !differs.empty()) {
    return "exit code 0, and " + differs + said;
  }
  if (const std::string wrong = what_is_wrong(run(), whole_); !wrong.empty()) return wrong + said;
  const Outcome resumed = start({}, {"--resume"});
  if (resumed.exit_code != 0) return "--resume: exit code " + std::to_string(resumed.exit_code) + ": " + resumed.err;
  const std::string differs = difference(whole_, comparable_files(run()));
  return differs.empty() ? "" : "after --resume " + differs + said;
}

}  // namespace lora::test
