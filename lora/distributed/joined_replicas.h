#pragma once
// Replicas in processes of their own, which can fail one by one and have to end together.

#include <memory>

#include "lora/distributed/failure.h"
#include "lora/training/replicas.h"

namespace lora {

// gather() also tells whether a process has failed: then it throws TogetherFailed in every process.
class JoinedReplicas : public Replicas {
 public:
  // Takes the place of this process's next gather(), which will not come, so that the others' throw. Returns the
  // verdict.
  virtual Failure fail(const Failure& own) = 0;
  // Seconds that a wait may take without any progress. After that the wait says who did not answer, on stderr, and ends
  // all processes with exit code 7. Infinity: it may take any time.
  virtual void set_timeout(double seconds) = 0;
  // These processes by group, each with the others that give the same number, in the order of ranks: replicas of their
  // own, which must not outlive these. All call it at the same time.
  virtual std::shared_ptr<JoinedReplicas> split(int64_t group) = 0;
};

// All processes that the launcher started, over MPI; ends MPI when it is destroyed. To be called once a process. Throws
// DistributedError in a build without MPI.
std::shared_ptr<JoinedReplicas> join_over_mpi();

}  // namespace lora
