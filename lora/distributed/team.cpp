#include "lora/distributed/team.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "lora/distributed/launcher.h"
#include "models/base/error.h"

namespace lora {

Team::Team() : replicas_(std::make_shared<Replicas>()) {
  const auto launcher = find_launcher();
  if (!launcher || launcher->processes == 1) return;
  others_ = join_over_mpi();
  replicas_ = others_;
  bound_by_default_ = launcher->binds_by_default;
  if (others_->count() == launcher->processes) return;
  throw DistributedError(launcher->name + " started " + std::to_string(launcher->processes) + " processes (" +
                         launcher->variable + "), and MPI finds " + std::to_string(others_->count()) +
                         "; expected the launcher of the MPI that lora-train is built with" +
                         (launcher->name == "srun" ? ", with Slurm: srun --mpi=pmix" : ""));
}

void Team::set_timeout(double seconds) {
  if (others_) others_->set_timeout(seconds);
}

int Team::run(const std::function<int()>& body, const std::function<Failure()>& failure) {
  if (!others_) return body();
  Failure end;
  try {
    const int code = body();
    set_timeout(std::numeric_limits<double>::infinity());
    for (const nlohmann::json& one : gather_values(*others_, code)) end.code = std::max(end.code, one.get<int>());
    return end.code;
  } catch (const TogetherFailed& together) {
    end = together.verdict;
  } catch (...) {
    end = others_->fail(failure());
  }
  if (others_->rank() == 0) std::fprintf(stderr, "%s\n", end.message.c_str());
  return end.code;
}

}  // namespace lora
