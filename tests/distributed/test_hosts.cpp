// Several hosts: network namespaces with names of their own, and a Slurm of one node. Both take root.

#include "lora/distributed/launcher.h"
#include "tests/distributed/cluster.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

std::string script(const char* name) { return (source_dir() / "tests/distributed" / name).string(); }

bool is_root_with(const std::string& tools) {
  if (::geteuid() != 0) {
    std::puts("SKIPPED: the user is not root");
    return false;
  }
  if (run({"/bin/bash", "-c", "for tool in " + tools + "; do command -v $tool || exit 1; done"}).exit_code == 0)
    return true;
  std::printf("SKIPPED: not installed: %s\n", tools.c_str());
  return false;
}

// The command behind one that gives it hosts or a Slurm of its own.
Outcome run_in(std::vector<std::string> setting, const std::vector<std::string>& command) {
  setting.insert(setting.end(), command.begin(), command.end());
  return run(setting);
}

Outcome run_alone(const std::vector<std::string>& arguments) {
  std::vector<std::string> line = {"lora-train"};
  line.insert(line.end(), arguments.begin(), arguments.end());
  return run(line);
}

}  // namespace

TEST_CASE("two hosts of a network: the bits of one process, and a host without the data is named", "[.long]") {
  if (!has_mpi() || !is_root_with("ip unshare")) return;
  if (run({"/usr/bin/unshare", "--net", "--mount", "true"}).exit_code != 0) {
    std::puts("SKIPPED: this system gives a test no network namespace");
    return;
  }
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory), hosts = (directory / "hosts").string();
  const std::string output = (directory / "two").string();
  REQUIRE(run_alone({recipe}).exit_code == 0);
  const std::vector<std::string> launcher = {"--mca",
                                             "plm_rsh_agent",
                                             hosts + "/agent",
                                             "--mca",
                                             "oob_tcp_if_include",
                                             "10.77.0.0/24",
                                             "--mca",
                                             "btl_tcp_if_include",
                                             "10.77.0.0/24",
                                             "--mca",
                                             "btl",
                                             "self,tcp",
                                             "--host",
                                             "10.77.0.1:1,10.77.0.2:1"};
  const Outcome outcome =
      run_in({script("hosts.sh"), hosts}, on_processes(2, {recipe, "output_dir=" + output}, launcher));
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("2 on 2 machines") && Contains("rank 0  host1") && Contains("rank 1  host2"));
  check_same_bits(output, directory / "run", 6);

  // On host2 another directory is mounted over the data's.
  const std::string data = (directory / "data").string(), empty = (directory / "empty").string();
  for (const std::string& folder : {data, empty}) std::filesystem::create_directories(folder);
  write_bytes(directory / "data/rows.jsonl", counting_rows(40));
  const std::string program_there = (directory / "start").string();
  write_bytes(program_there,
              "#!/bin/sh\nif [ \"$(hostname)\" = host2 ]; then\n  exec unshare --mount sh -c 'mount --bind " + empty +
                  " " + data + " && exec \"$@\"' _ " + program("lora-train").string() + " \"$@\"\nfi\nexec " +
                  program("lora-train").string() + " \"$@\"\n");
  std::filesystem::permissions(program_there, std::filesystem::perms::owner_all);
  std::vector<std::string> line = on_processes(
      2, {recipe, "output_dir=" + output + "2", "data.train=[{path: " + data + "/rows.jsonl, format: completion}]"},
      launcher);
  std::ranges::replace(line, program("lora-train").string(), program_there);
  const Outcome missing = run_in({script("hosts.sh"), hosts}, line);
  CAPTURE(missing.err);
  CHECK(missing.exit_code == 7);
  CHECK_THAT(missing.err, Contains("[distributed] host2, rank 1: [") && Contains("rows.jsonl"));
  CHECK_FALSE(std::filesystem::exists(output + "2"));
}

TEST_CASE("srun of a Slurm on this machine: the bits of one process, and SIGTERM gives a checkpoint", "[.long]") {
  if (!has_mpi() || !is_root_with("munged slurmctld slurmd srun")) return;
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory), slurm = (directory / "slurm").string();
  REQUIRE(run_alone({recipe}).exit_code == 0);
  const std::string train = "srun --mpi=pmix -n 2 '" + program("lora-train").string() + "' '" + recipe + "' ";
  const std::string output = (directory / "two").string(), stopped = (directory / "stopped").string();
  const Outcome outcome =
      run_in({script("slurm.sh"), slurm},
             {"/bin/bash", "-c",
              train + "output_dir=" + output + "; echo first $?; " + train + "output_dir=" + stopped +
                  " training.max_steps=100000 training.eval_every=0 & step=$!; for i in $(seq 600); do [ $(cat " +
                  stopped + "/metrics.jsonl 2>/dev/null | wc -l) -gt 5 ] && break; sleep 0.1; done; " +
                  "scancel --signal=TERM $(squeue -h -o %A | head -1); wait $step; echo second $?"});
  CAPTURE(outcome.err, outcome.out);
  CHECK_THAT(outcome.out, Contains("first 0") && Contains("second 143"));
  check_same_bits(output, directory / "run", 6);
  CHECK(CheckpointStore(stopped).newest_whole().checkpoint.has_value());
}
