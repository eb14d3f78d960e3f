#pragma once
// The arithmetic of training on a batch, the same for every implementation. Utilisation figures divide by it.

#include <cstdint>
#include <vector>

#include "models/network/decoder.h"

namespace lora {

// Floating-point operations of one forward and backward pass, without recomputing. Each weight and token costs 2
// forward, 2 for the gradient of the input and, where the weight is trained, 2 for the gradient of the weight; so
// adapters cost 6. Attention computes 2 products forward and 4 backward over the pairs that its mask admits. The head
// counts for `supervised` tokens only.
double pass_flops(const LlamaForCausalLM& model, const std::vector<int64_t>& sample_lengths, int64_t supervised);

}  // namespace lora
