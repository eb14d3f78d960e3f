#pragma once
// Estimates from shapes alone what a run holds in memory, and chooses its ExecutionPlan from that. The result depends
// on the recipe, the model and the machine's memory, not on how much of it is free, so that the same run gets the same
// plan again.

#include <cstdint>
#include <vector>

#include "lora/data/dataset.h"
#include "lora/training/config.h"
#include "lora/training/parameter_groups.h"
#include "models/network/decoder.h"

namespace lora {

// What the data asks for.
struct DataNeed {
  int64_t longest = 0;   // tokens of the longest sample
  int64_t samples = 0;   // training and validation together
  int64_t tokens = 0;    // likewise
  int64_t distinct = 0;  // different token ids
};

DataNeed data_need(const Dataset& train, const Dataset& validation);

// Where the frozen weights of the layers are, in a run on a GPU.
enum class LayerWeights {
  kOnDevice,
  kFetched,  // in the host's memory; two layers at a time are on the GPU (engine/host_blocks.h)
  kEither,   // fetched where the plan does not fit otherwise: of a model that is not loaded yet
};

// The memory that a plan is for.
struct MemoryRoom {
  int64_t bytes;  // of the machine; of a GPU what a run may take of it
  // A GPU has nothing of the program and its data, and ATen's operations hold more than the CPU's.
  at::Device device = at::kCPU;
  LayerWeights layers = LayerWeights::kOnDevice;
  bool is_device() const { return !device.is_cpu(); }
};

// How the run computes its passes, and the bytes that it holds then at the peak.
struct MemoryPlan {
  ExecutionPlan execution;
  int64_t process = 0;      // the program, its libraries and the data set; on a GPU what libraries hold there
  int64_t weights = 0;      // the model's, frozen and trained, as far as the steps read them
  int64_t optimizer = 0;    // gradients with their partial sums, moments and the method's own state
  int64_t activations = 0;  // kept from the forward pass for the backward pass
  int64_t workspace = 0;    // of the layer, or the chunk of the head, that is being computed
  int64_t fetched = 0;      // of layers in the host's memory, which a GPU fetches; not in total(). 0: none
  int64_t total() const { return process + weights + optimizer + activations + workspace; }
};

// Whether a GPU can do with two of the model's layers at a time: there are more, and none of their weights is trained.
bool can_fetch_layers(const LlamaForCausalLM& model);

// The plan of `training.memory`:
// On the CPU:
//   fast  512 tokens a pass; keeps all activations and weights
//   low   256 tokens a pass; recomputes whole layers, releases weights that are the model file's
//   auto  the first that stays within the limit of: fast; with weights released; with 256 tokens; with gate and up
//         recomputed; with whole layers recomputed. The limit is memory_limit, or else four fifths of `machine_bytes`.
// On a GPU, whose passes are quicker the longer they are:
//   fast  8,192 tokens a pass; keeps all activations
//   low   512 tokens a pass; recomputes whole layers; fetches the layers where they do not fit
//   auto  the first that stays within the limit of: 8,192, 4,096, 2,048 and 1,024 tokens; 1,024 with gate and up
//         recomputed; 1,024 with layers recomputed; 512 likewise; then the layers fetched, which costs the less the longer
//         the passes are, and recomputed: 8,192 to 512 tokens. The limit is the GPU's memory, or memory_limit where it is
//         less. A GPU that even the least of these is too large for is an Error (exit code 4).
// Layers that are trained whole are not fetched. A micro_batch_size sets the tokens instead. Without `fused` only the tokens
// and the layers' place are chosen, and activations are a rough guess. `beside`: bytes of the method's own state
// (Trainer::method_bytes), and of the weights, gradients and moments of other adapters on the same base. Throws RecipeError
// where even the least is more than memory_limit.
MemoryPlan plan_memory(const LlamaForCausalLM& model, const std::vector<ParameterGroup>& groups,
                       const TrainingConfig& config, const DataNeed& data, const MemoryRoom& room, int64_t beside = 0);

}  // namespace lora
