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

// A run as its config.json and its recipe have it, without weights.
struct RunShape {
  std::shared_ptr<LlamaForCausalLM> model;
  TrainingConfig training;
  std::vector<ParameterGroup> groups = {};
  DataNeed data = {};
  int64_t held = 0;  // bytes of the adapter's weights, gradients and moments
};

RunShape shape_of(const PreparedRun& run) {
  const ModelSection& section = run.recipe.model;
  RunShape shape{.model = make_meta(section.path, section.dtype, head_names(run.recipe, run.labels),
                                    make_quantizer({section.quantization, section.double_quantization})),
                 .training = run.recipe.training};
  AdapterConfig adapter = run.recipe.adapter;
  adapter.init_from.clear();  // of the same shapes, and not read
  inject(shape.model, adapter, shape.training.seed, /*fresh=*/false);
  shape.groups = make_parameter_groups(trainable_parameters(*shape.model), shape.training);
  shape.data = data_need_of(run, shape.model->config().vocab_size);
  for (const ParameterGroup& group : shape.groups) {
    for (const auto& [path, parameter] : group.parameters) shape.held += 4 * 4 * parameter.numel();
  }
  return shape;
}

using RunShapes = std::vector<RunShape>;

// The largest of the runs' plans, each beside what the others hold. Throws where one is more than the room.
MemoryPlan largest_plan(const RunShapes& shapes, const MemoryRoom& room) {
  int64_t held = 0;
  for (const RunShape& shape : shapes) held += shape.held;
  MemoryPlan largest;
  for (const RunShape& shape : shapes) {
    const MemoryPlan plan =
        plan_memory(*shape.model, shape.groups, shape.training, shape.data, room, held - shape.held);
    const int64_t fetched = std::max(largest.fetched, plan.fetched);
    if (plan.total() > largest.total()) largest = plan;
    largest.fetched = fetched;
  }
  return largest;
}

// Bytes of the least plan, whatever the limit.
int64_t least_need(RunShapes shapes, at::Device device, LayerWeights layers) {
  for (RunShape& shape : shapes) {
    shape.training.memory = MemoryMode::kLow;
    shape.training.memory_limit.reset();
  }
  return largest_plan(shapes, {kNoBound, device, layers}).total();
}

bool may_fetch(const RunShapes& shapes) {
  return std::ranges::all_of(shapes, [](const RunShape& shape) {
    return shape.training.memory != MemoryMode::kFast && can_fetch_layers(*shape.model);
  });
}

// Decides where the layers' weights are. Throws where no plan fits.
void place_layers(RunDevice& chosen, const RunShapes& shapes, int64_t host_bytes) {
  MemoryRoom& room = chosen.room;
  if (room.layers == LayerWeights::kOnDevice && may_fetch(shapes)) room.layers = LayerWeights::kEither;
  const int64_t fetched = largest_plan(shapes, room).fetched, host_room = host_bytes / 5 * 4;
  room.layers = fetched > 0 ? LayerWeights::kFetched : LayerWeights::kOnDevice;
  if (fetched <= host_room) return;
  throw Error(ExitCode::kModel, "memory",
              chosen.device.str() + " has no room for the model, and its layers of " + as_bytes(fetched) +
                  " are more than " + as_bytes(host_room) +
                  ", four fifths of the host's memory; expected a machine with more memory, or model.dtype bfloat16 or "
                  "a model.quantization, which need less");
}

RunDevice automatic(const RunShapes& shapes, int64_t rank, int64_t host_bytes) {
  std::vector<at::Device> all = accelerators();
  std::rotate(all.begin(), all.begin() + rank % std::ssize(all), all.end());
  int64_t needed = 0;
  for (const LayerWeights layers : {LayerWeights::kOnDevice, LayerWeights::kFetched}) {
    if (layers == LayerWeights::kFetched && !may_fetch(shapes)) continue;
    needed = least_need(shapes, all.front(), layers);
    for (const at::Device device : all) {
      RunDevice chosen = on(device);
      if (std::min(chosen.memory.free, chosen.room.bytes) < needed) continue;
      chosen.room.layers = layers;
      place_layers(chosen, shapes, host_bytes);
      return chosen;
    }
  }
  return on_host(host_bytes, "the CPU: no GPU has " + as_bytes(needed) + " free, the least that this run needs there");
}

RunDevice named(const std::string& name, const RunShapes& shapes, int64_t rank, int64_t host_bytes) {
  at::Device device = named_device(name);
  if (name.find(':') == std::string::npos) {  // any of its kind
    std::vector<at::Device> all = accelerators();
    std::erase_if(all, [&](const at::Device& one) { return one.type() != device.type(); });
    device = all[as_size(rank % std::ssize(all))];
  }
  RunDevice chosen = on(device);
  place_layers(chosen, shapes, host_bytes);
  expect_room(chosen, least_need(shapes, device, chosen.room.layers));
  return chosen;
}

RunDevice device_of(const std::vector<PreparedRun>& runs, int64_t rank, int64_t host_bytes) {
  const std::string& name = runs.front().recipe.model.device;
  if (name == "cpu" || (name == "auto" && accelerators().empty())) return on_host(host_bytes);
  if (name != "auto") named_device(name);  // before anything is made of shapes
  RunShapes shapes;
  for (const PreparedRun& run : runs) shapes.push_back(shape_of(run));
  return name == "auto" ? automatic(shapes, rank, host_bytes) : named(name, shapes, rank, host_bytes);
}

}  // namespace

RunDevice choose_run_device(const std::vector<PreparedRun>& runs, int64_t rank, int64_t host_bytes) {
  const ModelSection& section = runs.front().recipe.model;
  RunDevice chosen = device_of(runs, rank, host_bytes);
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
