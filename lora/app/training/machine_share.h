#pragma once
// Processes of one run on one machine: each takes its share of the cores and of the memory.

#include <cstdint>
#include <string>
#include <vector>

#include "lora/training/gradient_sums.h"
#include "lora/training/replicas.h"

namespace lora {

struct MachineShare {
  int64_t rank = 0, processes = 1;  // among those of this machine
  int64_t threads = 0;              // of this process; 0: not decided here
};

// Finds who is on this machine. Where processes may use the same cores, each is bound to a block of its own, in the
// order of ranks, as long as there is a core for each; where their launcher gave them different ones, they keep these.
// `unbind`: what the launcher gave is not meant, and all of the machine's cores are taken first. `threads`: of the
// recipe; where it is above 0 it stands, and nothing is bound. Alone: nothing is done.
MachineShare share_machine(Replicas& replicas, bool unbind, int64_t threads);

// The least memory that any process may use, so that all make the same plan: `machine_bytes` of this one's machine, by
// the processes on it.
int64_t shared_memory_bytes(Replicas& replicas, const MachineShare& share, int64_t machine_bytes);

// What a person reads about the processes; empty: there is one. `passes`: of a step. `bytes`: of this process's plan.
std::string processes_report(Replicas& replicas, const MachineShare& share, int64_t passes, SumOrder order,
                             int64_t bytes);

// Throws DistributedError where some processes would have no pass of a step.
void expect_enough_passes(const Replicas& replicas, int64_t passes, const std::string& adapter);

}  // namespace lora
