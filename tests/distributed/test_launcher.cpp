// What the environment says of the launcher, and how processes end together.

#include "lora/distributed/launcher.h"

#include <map>

#include "lora/distributed/failure.h"
#include "tests/catch.h"

using namespace lora;

namespace {

std::optional<Launcher> launcher_of(const std::map<std::string, std::string>& variables) {
  return find_launcher([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace

TEST_CASE("mpirun and srun are known by their variables, and a batch script of Slurm is one process") {
  CHECK_FALSE(launcher_of({}));
  CHECK(launcher_of({{"OMPI_COMM_WORLD_SIZE", "4"}})->processes == 4);
  CHECK(launcher_of({{"OMPI_COMM_WORLD_SIZE", "4"}})->name == "mpirun");
  CHECK(launcher_of({{"PMI_SIZE", "3"}})->processes == 3);
  CHECK(launcher_of({{"SLURM_STEP_NUM_TASKS", "8"}})->name == "srun");
  CHECK_FALSE(launcher_of({{"SLURM_NTASKS", "8"}, {"SLURM_JOB_ID", "1"}}));
  CHECK_FALSE(launcher_of({{"OMPI_COMM_WORLD_SIZE", "many"}}));
}

TEST_CASE("cores that mpirun gave of itself are told from those that it was asked for") {
  const auto binds = [](std::map<std::string, std::string> variables) {
    variables["OMPI_COMM_WORLD_SIZE"] = "2";
    return launcher_of(variables)->binds_by_default;
  };
  CHECK(binds({{"OMPI_MCA_orte_bound_at_launch", "1"}}));
  CHECK_FALSE(binds({{"OMPI_MCA_orte_bound_at_launch", "1"}, {"OMPI_MCA_hwloc_base_binding_policy", "core"}}));
  CHECK_FALSE(binds({}));
}

TEST_CASE("a failure of all is that failure, and one of some says where it was") {
  const Failure data{3, "[data] a.jsonl: no such file"}, recipe{2, "[recipe] a"}, none{};
  const std::vector<std::string> hosts = {"a", "b", "c"};
  CHECK(verdict({data, data, data}, hosts).code == 3);
  CHECK(verdict({data, {3, "[data] elsewhere"}, data}, hosts).message == data.message);
  const Failure one = verdict({none, data, none}, hosts);
  CHECK(one.code == 7);
  CHECK(one.message == "[distributed] b, rank 1: [data] a.jsonl: no such file");
  const Failure two = verdict({none, data, recipe}, hosts);
  CHECK(two.code == 7);
  CHECK(two.message == "[distributed] b, rank 1: [data] a.jsonl: no such file (and 1 more of 3)");
  CHECK(verdict({data, data, recipe}, hosts).code == 7);
}
