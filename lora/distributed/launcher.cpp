#include "lora/distributed/launcher.h"

#include <cstdlib>

namespace lora {
namespace {

int64_t count_of(const char* text) {
  char* end = nullptr;
  const int64_t count = text ? std::strtoll(text, &end, 10) : 0;
  return end && *end == '\0' ? count : 0;
}

}  // namespace

std::optional<Launcher> find_launcher(const std::function<const char*(const char*)>& variable) {
  const auto get = [&](const char* name) { return variable ? variable(name) : std::getenv(name); };
  const auto launched = [&](const char* launcher, const char* name) -> std::optional<Launcher> {
    const int64_t count = count_of(get(name));
    return count < 1 ? std::nullopt : std::optional(Launcher{launcher, name, count});
  };
  // Open MPI; MPICH's Hydra and those that follow it. SLURM_NTASKS is also there in a batch script, which is one
  // process: the number of a step's tasks is of srun alone.
  if (auto found = launched("mpirun", "OMPI_COMM_WORLD_SIZE")) {
    found->binds_by_default = !get("OMPI_MCA_hwloc_base_binding_policy") && get("OMPI_MCA_orte_bound_at_launch");
    return found;
  }
  if (auto found = launched("mpirun", "PMI_SIZE")) return found;
  return launched("srun", "SLURM_STEP_NUM_TASKS");
}

}  // namespace lora
