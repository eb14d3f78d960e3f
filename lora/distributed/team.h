#pragma once
// The processes that mpirun or srun started with this one. They begin together, and end together: with one exit code
// and one message.

#include <functional>
#include <memory>

#include "lora/distributed/joined_replicas.h"

namespace lora {

class Team {
 public:
  // Joins the others; does nothing where the environment says that this process was started alone. Throws
  // DistributedError where a launcher started several and they cannot meet. One Team a process.
  Team();

  // Of this process alone where nobody else was started. Where another process fails, gather() throws TogetherFailed.
  const std::shared_ptr<Replicas>& replicas() const { return replicas_; }

  // Whether the launcher bound each process to one core without being asked to.
  bool is_bound_by_default() const { return bound_by_default_; }

  // Makes replicas() those of the processes that give the same number: from now on each group ends for itself, and the
  // exit code is the largest of all groups'. Not to be called alone.
  void split(int64_t group);

  // See JoinedReplicas.
  void set_timeout(double seconds);

  // Calls `body` and returns its exit code, the largest of all processes. What `body` throws becomes a failure by
  // `failure`, which is called inside the handler. Then all processes return the verdict's exit code (failure.h), and
  // rank 0 says its message on stderr. The processes wait for one another without a timeout when their body is done,
  // for rank 0 may have more to write.
  int run(const std::function<int()>& body, const std::function<Failure()>& failure);

 private:
  static int last_code(JoinedReplicas& processes, int own);

  std::shared_ptr<JoinedReplicas> others_;  // null: there are none
  std::shared_ptr<JoinedReplicas> group_;   // those of them that train the same; null: all do
  std::shared_ptr<Replicas> replicas_;
  bool bound_by_default_ = false;
};

}  // namespace lora
