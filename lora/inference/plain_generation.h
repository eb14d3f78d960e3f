#pragma once
// Generation by the network's own forward pass and a KvCache: the reference of batch_decoder.h, and what answers for
// models that are not decoded so (adapters with a forward pass of their own, float64).

#include <cstdint>
#include <functional>
#include <vector>

#include "lora/inference/generation.h"

namespace lora {

// Called before every forward pass, with the prompts in the order of the batch and the number of tokens of each.
using OnPass = std::function<void(const std::vector<int64_t>& prompts, const std::vector<int64_t>& lengths)>;

// What generate_batch does, for the model as it is. All prompts are one batch.
Generated generate_plainly(LlamaForCausalLM& model, const std::vector<std::vector<int64_t>>& prompts,
                           const GenerationConfig& config, const OnToken& on_token = {}, const OnPass& on_pass = {});

}  // namespace lora
