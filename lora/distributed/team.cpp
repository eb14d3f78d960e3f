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

void Team::split(int64_t group) {
  group_ = others_->split(group);
  replicas_ = group_;
}

void Team::set_timeout(double seconds) {
  if (others_) others_->set_timeout(seconds);
  if (group_) group_->set_timeout(seconds);
}

// The largest code of these processes, whenever they come to it.
int Team::last_code(JoinedReplicas& processes, int own) {
  processes.set_timeout(std::numeric_limits<double>::infinity());
  int code = 0;
  for (const nlohmann::json& one : gather_values(processes, own)) code = std::max(code, one.get<int>());
  return code;
}

int Team::run(const std::function<int()>& body, const std::function<Failure()>& failure) {
  if (!others_) return body();
  Failure end;
  try {
    end.code = body();
    end.code = last_code(group_ ? *group_ : *others_, end.code);
  } catch (const TogetherFailed& together) {
    end = together.verdict;
  } catch (...) {
    end = (group_ ? *group_ : *others_).fail(failure());
  }
  if (!end.message.empty() && replicas_->rank() == 0) std::fprintf(stderr, "%s\n", end.message.c_str());
  return group_ ? last_code(*others_, end.code) : end.code;
}

}  // namespace lora
