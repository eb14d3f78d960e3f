#pragma once
// What a run will hold in memory, from shapes alone, and the choice that follows: how many tokens a forward pass takes
// and what of it is computed twice. Depends on the recipe, the model and the machine's memory, not on what happens to
// be free: the same run is planned the same again.

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

// Bytes at the peak, by what they are held for.
struct MemoryPlan {
  int64_t tokens = 0;  // of a forward pass: at most this, or one sample
  Recompute recompute = Recompute::kNone;
  bool lets_weights_go = false;  // frozen weights are read from their file as they are needed, and not held
  int64_t process = 0;           // the program, its libraries and the data set
  int64_t weights = 0;           // of the frozen and trained model, as the steps read them
  int64_t optimizer = 0;         // gradients, moments and state of the method's own
  int64_t activations = 0;       // kept from the forward for the backward pass
  int64_t workspace = 0;         // of the one layer, or the chunk of the head, that is being computed
  int64_t total() const { return process + weights + optimizer + activations + workspace; }
};

// The plan of `training.memory`: fast keeps everything for 512 tokens a pass; low takes 256, computes whole layers
// twice and lets weights go where they are those of the model's file; auto takes the first of fast, then letting
// weights go, then fewer tokens, then recomputing gate and up, then whole layers, that stays within memory_limit, or
// four fifths of `machine_bytes` where the recipe sets none. A micro_batch_size fixes the tokens. Throws RecipeError
// where even the least is more than memory_limit. Where layers are plain autograd's (`fused` is false, or fused layers
// do not compute the family or a window that a sample is longer than) tokens alone are planned, activations only
// roughly. `beside`: bytes of the method's own state (Trainer::method_bytes) and of what other adapters on the same
// base hold for their weights, gradients and moments while this one trains.
MemoryPlan plan_memory(const LlamaForCausalLM& model, const std::vector<ParameterGroup>& groups,
                       const TrainingConfig& config, const DataNeed& data, int64_t machine_bytes, int64_t beside = 0);

}  // namespace lora
