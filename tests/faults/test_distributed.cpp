// Processes that train together where one of them is killed, stopped, out of disk, or has something else than the
// others.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>
#include <sstream>
#include <thread>

#include "lora/checkpoints/store.h"
#include "tests/distributed/cluster.h"

using namespace lora;
using namespace lora::test;
namespace fs = std::filesystem;
using Catch::Matchers::Contains;

namespace {

constexpr int64_t kLastStep = 60;
const std::vector<std::string> kLonger = {"training.max_steps=60", "training.checkpoint_every=10",
                                          "training.eval_every=30"};

std::vector<std::string> longer_run(const std::string& recipe, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {recipe};
  arguments.insert(arguments.end(), kLonger.begin(), kLonger.end());
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// The run that is never hurt, in one process.
struct Unhurt {
  Unhurt() {
    std::vector<std::string> arguments = longer_run(cluster_recipe(directory));
    arguments.insert(arguments.begin(), "lora-train");
    const Outcome outcome = run(arguments);
    INFO(outcome.err);
    REQUIRE(outcome.exit_code == 0);
  }
  TemporaryDirectory directory;
  fs::path path() const { return directory / "run"; }
};

// Every checkpoint that is there can be read, and none is half there under its name.
void check_whole(const fs::path& run) {
  CheckpointStore store(run);
  CHECK(store.newest_whole().skipped.empty());
}

void check_resumes(const TemporaryDirectory& directory, const std::string& recipe, int processes,
                   const Unhurt& unhurt) {
  check_whole(directory / "run");
  const Outcome resumed = run(on_processes(processes, longer_run(recipe, {"--resume"})));
  CAPTURE(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  check_same_bits(directory / "run", unhurt.path(), kLastStep);
}

// That all processes have ended.
void check_none_left(const Cluster& cluster) {
  for (int tries = 0; tries < 500 && !cluster.ranks().empty(); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(cluster.ranks().empty());
}

void kill_rank(int processes, int rank, const Unhurt& unhurt) {
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory);
  Cluster cluster(processes, longer_run(recipe));
  REQUIRE(reaches_step(directory / "run", 12));
  cluster.send(SIGKILL, rank);
  const Outcome outcome = cluster.wait();
  CAPTURE(processes, rank, outcome.err);
  CHECK(outcome.exit_code == 128 + SIGKILL);  // mpirun's own, for a process that a signal ended
  CHECK_THAT(outcome.err, Contains("rank " + std::to_string(rank)));
  check_none_left(cluster);
  check_resumes(directory, recipe, processes, unhurt);
}

void stop_rank(int processes, int rank, const Unhurt& unhurt) {
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory);
  Cluster cluster(processes, longer_run(recipe, {"distributed.timeout=10"}));
  REQUIRE(reaches_step(directory / "run", 12));
  cluster.send(SIGSTOP, rank);
  const Outcome outcome = cluster.wait();
  CAPTURE(processes, rank, outcome.err);
  CHECK(outcome.exit_code == 7);
  CHECK_THAT(outcome.err, Contains("[distributed] ") && Contains(", rank " + std::to_string(rank) +
                                                                 ": no answer for 10 s (distributed.timeout)"));
  check_none_left(cluster);
  check_resumes(directory, recipe, processes, unhurt);
}

// A process each, with arguments and a working directory of its own.
std::vector<std::string> of_two(const fs::path& first, const fs::path& second, const std::vector<std::string>& one,
                                const std::vector<std::string>& other) {
  std::vector<std::string> line = on_processes(1, one, {"-wdir", first.string()});
  line.insert(line.end(), {":", "-wdir", second.string(), "-n", "1", program("lora-train").string()});
  line.insert(line.end(), other.begin(), other.end());
  return line;
}

void check_refused_together(const Outcome& outcome, const std::vector<std::string>& parts) {
  CAPTURE(outcome.err, outcome.out);
  CHECK(outcome.exit_code == 7);
  const size_t first = outcome.err.find("[distributed] ");
  REQUIRE(first != std::string::npos);
  CHECK(outcome.err.find("[distributed] ", first + 1) == std::string::npos);  // one message
  const std::string message = outcome.err.substr(first, outcome.err.find('\n', first) - first);
  for (const std::string& part : parts) CHECK_THAT(message, Contains(part));
}

// The TCP ports that these processes listen on.
std::set<int> listening_ports(const std::map<int, pid_t>& ranks) {
  std::set<std::string> sockets;
  for (const auto& [rank, pid] : ranks) {
    for (const auto& item : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
      std::error_code ignored;
      const std::string target = fs::read_symlink(item.path(), ignored).string();
      if (target.starts_with("socket:[")) sockets.insert(target.substr(8, target.size() - 9));
    }
  }
  std::set<int> ports;
  for (const char* file : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::vector<std::string> fields;
      for (std::string word; words >> word;) fields.push_back(word);
      if (fields.size() < 10 || fields[3] != "0A" || !sockets.contains(fields[9])) continue;
      ports.insert(std::stoi(fields[1].substr(fields[1].rfind(':') + 1), nullptr, 16));
    }
  }
  return ports;
}

void send_garbage(int port) {
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    const std::string garbage(4096, '\xfe');
    (void)!::send(client, garbage.data(), garbage.size(), MSG_NOSIGNAL);
  }
  ::close(client);
}

}  // namespace

TEST_CASE("C: SIGKILL of a rank: all processes end, and the run that is started again has the same bits") {
  if (!has_mpi()) return;
  const Unhurt unhurt;
  kill_rank(2, 0, unhurt);
  kill_rank(2, 1, unhurt);
}

TEST_CASE("C: SIGKILL of each of four ranks: the same", "[.long]") {
  if (!has_mpi()) return;
  const Unhurt unhurt;
  for (int rank = 0; rank < 4; ++rank) kill_rank(4, rank, unhurt);
}

TEST_CASE("C: SIGSTOP of a rank: all end within distributed.timeout, exit code 7, and its host and rank are named",
          "[.long]") {
  if (!has_mpi()) return;
  stop_rank(2, 1, Unhurt());
}

TEST_CASE("C: SIGSTOP of each of three ranks: the same", "[.long]") {
  if (!has_mpi()) return;
  const Unhurt unhurt;
  for (int rank = 0; rank < 3; ++rank) stop_rank(3, rank, unhurt);
}

TEST_CASE("C: SIGTERM to one process: all finish the same step, one checkpoint, exit code 143, and the bits resume") {
  if (!has_mpi()) return;
  const Unhurt unhurt;
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory);
  Cluster cluster(2, longer_run(recipe));
  REQUIRE(reaches_step(directory / "run", 12));
  cluster.send(SIGTERM, 1);
  const Outcome outcome = cluster.wait();
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 143);
  CHECK_THAT(outcome.out, Contains("the checkpoint is written, continue with --resume"));
  const int64_t step = metrics(directory / "run").back()["step"];
  CHECK(CheckpointStore(directory / "run").newest_whole().checkpoint->step == step);
  check_resumes(directory, recipe, 2, unhurt);
}

TEST_CASE("C: SIGUSR1 to mpirun, which passes it on: the same as SIGTERM to all, and SIGTERM to mpirun: a checkpoint",
          "[.long]") {
  if (!has_mpi()) return;
  const Unhurt unhurt;
  for (const int signal : {SIGUSR1, SIGTERM}) {
    const TemporaryDirectory directory;
    const std::string recipe = cluster_recipe(directory);
    Cluster cluster(2, longer_run(recipe), {"--mca", "odls_base_sigkill_timeout", "3"});
    REQUIRE(reaches_step(directory / "run", 12));
    cluster.send(signal);
    const Outcome outcome = cluster.wait();
    CAPTURE(outcome.err);
    // SIGTERM reaches the processes after the time that is given, when this short run may be done.
    if (signal == SIGUSR1) CHECK(outcome.exit_code == 143);
    check_none_left(cluster);
    check_resumes(directory, recipe, 2, unhurt);
  }
}

TEST_CASE("C: the number of processes changes on --resume: the same bits as one process") {
  if (!has_mpi()) return;
  const Unhurt unhurt;
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory);
  for (const int processes : {2, 3}) {
    Cluster cluster(processes, longer_run(recipe, {"--resume"}));
    REQUIRE(reaches_step(directory / "run", processes * 10));
    cluster.send(SIGTERM, processes - 1);
    CHECK(cluster.wait().exit_code == 143);
  }
  const Outcome last = run({"lora-train", recipe, kLonger[0], kLonger[1], kLonger[2], "--resume"});
  CAPTURE(last.err);
  CHECK(last.exit_code == 0);
  check_same_bits(directory / "run", unhurt.path(), kLastStep);
}

TEST_CASE("C: recipe, data or base differ by rank: what differs is named with its host and rank, nothing is written") {
  if (!has_mpi()) return;
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory);
  const fs::path here = directory / "here", there = directory / "there", run_of = directory / "run";
  for (const fs::path& place : {here, there}) {
    fs::create_directories(place);
    fs::copy(quickstart() / "model", place / "model", fs::copy_options::recursive);
    write_bytes(place / "rows.jsonl", counting_rows(40));
  }
  const std::vector<std::string> relative = {
      recipe, "model.path=model", "data.train=[{path: rows.jsonl, format: completion}]", "data.validation=[]"};
  std::vector<std::string> other = relative;
  other.push_back("training.seed=7");
  check_refused_together(run(of_two(here, there, relative, other)),
                         {", rank 1: the recipe differs: found seed: 7, expected that of ", ", rank 0: seed: 42"});

  write_bytes(there / "rows.jsonl", counting_rows(41));
  check_refused_together(run(of_two(here, there, relative, relative)),
                         {", rank 1: the training data differs: found 41 samples", "rank 0: 40 samples"});
  fs::remove(there / "rows.jsonl");
  check_refused_together(run(of_two(here, there, relative, relative)), {", rank 1: [", "rows.jsonl"});
  write_bytes(there / "rows.jsonl", counting_rows(40));

  const fs::path weights_file = there / "model/model.safetensors";
  std::string bytes = read_bytes(weights_file);
  bytes[bytes.size() - 2] = static_cast<char>(bytes[bytes.size() - 2] ^ 1);
  write_bytes(weights_file, bytes);
  check_refused_together(run(of_two(here, there, relative, relative)), {", rank 1: the base model differs"});
  CHECK_FALSE(fs::exists(run_of));
}

TEST_CASE(
    "C: one rank is out of disk: no checkpoint is committed, all end with exit code 7, and with space it resumes") {
  if (!has_mpi()) return;
  const Outcome allowed = run({"/bin/bash", "-c", "unshare -rm true"});
  if (allowed.exit_code != 0) {
    std::puts("SKIPPED: this system gives a test no mount namespace");
    return;
  }
  const Unhurt unhurt;
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory), disk = (directory / "disk").string();
  fs::create_directories(disk);
  const auto line_of = [&](const std::vector<std::string>& more) {
    std::string line;
    for (const std::string& word : on_processes(2, longer_run(recipe, more))) line += "'" + word + "' ";
    return line;
  };
  const std::string output = "output_dir=" + disk + "/run";
  // 160 kB hold a checkpoint, and no second one beside it.
  const std::string script = "mount -t tmpfs -o size=160k none " + disk + " && { " + line_of({output}) +
                             "; echo ended $?; ls " + disk + "/run/checkpoints; mount -o remount,size=20m " + disk +
                             " && " + line_of({output, "--resume"}) + "; echo resumed $?; cp -r " + disk + "/run " +
                             directory.path().string() + "; }";
  const Outcome outcome = run({"/usr/bin/unshare", "-rm", "/bin/bash", "-c", script});
  CAPTURE(outcome.err, outcome.out);
  CHECK_THAT(outcome.out, Contains("ended 7") && Contains("resumed 0"));
  CHECK_THAT(outcome.err, Contains("[distributed] ") && Contains(", rank 0: [storage] ") && Contains("No space left"));
  check_same_bits(directory / "run", unhurt.path(), kLastStep);
}

TEST_CASE("C: garbage sent to every port that the processes listen on: the bits stay, or all end") {
  if (!has_mpi()) return;
  const Unhurt unhurt;
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory);
  // Two processes of one machine over TCP, with the loopback alone.
  Cluster cluster(
      2, longer_run(recipe),
      {"--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "lo", "--mca", "oob_tcp_if_include", "lo"});
  REQUIRE(reaches_step(directory / "run", 12));
  const std::set<int> ports = listening_ports(cluster.ranks());
  CHECK_FALSE(ports.empty());
  for (const int port : ports) send_garbage(port);
  const Outcome outcome = cluster.wait();
  CAPTURE(outcome.err);
  check_whole(directory / "run");
  if (outcome.exit_code == 0) {
    check_same_bits(directory / "run", unhurt.path(), kLastStep);
  } else {
    check_resumes(directory, recipe, 2, unhurt);
  }
}

TEST_CASE("C: more processes than a step has passes: the message says how many it has") {
  if (!has_mpi()) return;
  const TemporaryDirectory directory;
  const Outcome outcome = run(on_processes(3, {cluster_recipe(directory), "training.batch_size=2"}));
  check_refused_together(outcome, {"a step has 2 passes for 3 processes"});
  CHECK_FALSE(fs::exists(directory / "run"));
}

TEST_CASE("C: a launcher of another MPI, or a build without: an error, not as many runs of their own") {
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory);
  const Outcome outcome = run({"/usr/bin/env", "SLURM_STEP_NUM_TASKS=4", program("lora-train").string(), recipe});
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 7);
  if (std::string(LORA_MPIRUN).empty()) {
    CHECK_THAT(outcome.err, Contains("this build of lora-train has no MPI"));
  } else {
    CHECK_THAT(outcome.err, Contains("srun started 4 processes (SLURM_STEP_NUM_TASKS), and MPI finds 1") &&
                                Contains("srun --mpi=pmix"));
  }
  CHECK_FALSE(fs::exists(directory / "run"));
}

TEST_CASE("C: an error of all is said once, with its own exit code") {
  if (!has_mpi()) return;
  const TemporaryDirectory directory;
  const Outcome outcome = run(on_processes(3, {cluster_recipe(directory), "training.lr=1"}));
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 2);
  const size_t first = outcome.err.find("[recipe] ");
  REQUIRE(first != std::string::npos);
  CHECK(outcome.err.find("[recipe] ", first + 1) == std::string::npos);
}
