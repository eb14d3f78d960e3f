#pragma once
// The device that a process trains on: what model.device says.

#include <string>
#include <vector>

#include "lora/app/training/prepared_run.h"
#include "lora/training/memory_plan.h"
#include "models/engine/devices.h"

namespace lora {

struct RunDevice {
  at::Device device = at::kCPU;
  MemoryRoom room;        // that the runs' plans are for
  DeviceMemory memory;    // as it was before anything was loaded; what LibTorch does not tell is without bounds
  std::string line = {};  // for a person; empty: the CPU, where there is nothing else
};

// auto: the first GPU whose free memory has room for the least of the runs' plans, which are made of shapes alone, or else
// the first that has it where the layers are fetched from the host's memory; else the CPU. `room.layers` says which it is:
// they are fetched where a run's plan does not fit otherwise. Of several processes on a machine each begins with another
// GPU: with the one of its rank among them. `host_bytes`: of the machine's memory. Throws as named_device does, RecipeError
// for float16 without a GPU, and Error (exit code 4) for a GPU without room for the least plans, or a host without room for
// fetched layers.
RunDevice choose_run_device(const std::vector<PreparedRun>& runs, int64_t rank, int64_t host_bytes);

// Throws Error (exit code 4) where other programs leave less of the GPU than that.
void expect_room(const RunDevice& chosen, int64_t needed);

}  // namespace lora
