#include "lora/app/training/run_device.h"

#include <stdlib.h>

#include <algorithm>
#include <limits>

#include "lora/adapters/inject.h"
#include "lora/app/source/trained_model.h"
#include "lora/app/training/planned_run.h"
#include "lora/quantization/quantizer.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"
#include "models/base/numbers.h"
#include "models/engine/devices.h"

namespace lora {
namespace {

constexpr int64_t kNoBound = std::numeric_limits<int64_t>::max();

std::string line_of(at::Device device, const DeviceMemory& memory) {
  if (memory.total == kNoBound) return device.str() + "; how much memory it has is not known to this LibTorch";
  return device.str() + ", " + as_bytes(memory.free) + " of " + as_bytes(memory.total) + " free";
}

RunDevice on(at::Device device) {
  const DeviceMemory memory = device_memory(device).value_or(DeviceMemory{kNoBound, kNoBound});
  // The rest is for the driver, and for what the allocator cannot use.
  const int64_t room = memory.total == kNoBound ? kNoBound : memory.total / 20 * 19;
  return {device, {room, device}, memory, line_of(device, memory)};
}

RunDevice on_host(int64_t bytes, std::string line = {}) {
  return {at::kCPU, {bytes}, {kNoBound, kNoBound}, std::move(line)};
}

// Bytes of the least plan of all runs together, from the shapes in config.json. Throws where one is more than the room.
int64_t least_need(const std::vector<PreparedRun>& runs, const MemoryRoom& room) {
  int64_t largest = 0, optimizers = 0;
  for (const PreparedRun& run : runs) {
    const ModelSection& section = run.recipe.model;
    const auto model = make_meta(section.path, section.dtype, head_names(run.recipe, run.labels),
                                 make_quantizer({section.quantization, section.double_quantization}));
    AdapterConfig adapter = run.recipe.adapter;
    adapter.init_from.clear();  // of the same shapes, and not read
    inject(model, adapter, run.recipe.training.seed, /*fresh=*/false);
    TrainingConfig training = run.recipe.training;
    training.memory = MemoryMode::kLow;
    const MemoryPlan plan = plan_memory(*model, make_parameter_groups(trainable_parameters(*model), training), training,
                                        data_need_of(run, model->config().vocab_size), room);
    largest = std::max(largest, plan.total());
    optimizers += plan.optimizer;
  }
  return runs.size() == 1 ? largest : largest + optimizers;
}

RunDevice automatic(const std::vector<PreparedRun>& runs, int64_t rank, int64_t host_bytes) {
  std::vector<at::Device> all = accelerators();
  if (all.empty()) return on_host(host_bytes);
  std::rotate(all.begin(), all.begin() + rank % std::ssize(all), all.end());
  const int64_t needed = least_need(runs, {kNoBound, all.front()});
  for (const at::Device device : all) {
    RunDevice chosen = on(device);
    if (std::min(chosen.memory.free, chosen.room.bytes) >= needed) return chosen;
  }
  return on_host(host_bytes, "the CPU: no GPU has " + as_bytes(needed) + " free, the least that this run needs there");
}

RunDevice named(const std::vector<PreparedRun>& runs, int64_t rank) {
  const std::string& name = runs.front().recipe.model.device;
  at::Device device = named_device(name);
  if (name.find(':') == std::string::npos) {  // any of its kind
    std::vector<at::Device> all = accelerators();
    std::erase_if(all, [&](const at::Device& one) { return one.type() != device.type(); });
    device = all[as_size(rank % std::ssize(all))];
  }
  RunDevice chosen = on(device);
  expect_room(chosen, least_need(runs, chosen.room));
  return chosen;
}

}  // namespace

RunDevice choose_run_device(const std::vector<PreparedRun>& runs, int64_t rank, int64_t host_bytes) {
  const ModelSection& section = runs.front().recipe.model;
  RunDevice chosen = section.device == "cpu"    ? on_host(host_bytes)
                     : section.device == "auto" ? automatic(runs, rank, host_bytes)
                                                : named(runs, rank);
  if (!chosen.device.is_cpu()) {
    // cuBLAS gives the same bits each time where it has such a workspace, says its manual.
    ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
    prefer_same_bits();
  }
  if (section.dtype == "float16" && chosen.device.is_cpu()) {
    throw RecipeError(
        "model.dtype: float16 is trained on a GPU alone, and this run is on the CPU; expected bfloat16 or "
        "float32, or model.device: cuda");
  }
  return chosen;
}

void expect_room(const RunDevice& chosen, int64_t needed) {
  if (chosen.memory.free >= needed) return;
  throw Error(ExitCode::kModel, "memory",
              chosen.device.str() + ": " + as_bytes(chosen.memory.free) + " of " + as_bytes(chosen.memory.total) +
                  " are free, and this run needs " + as_bytes(needed) +
                  "; end what else uses the GPU, or set training.memory_limit to what is free");
}

}  // namespace lora
