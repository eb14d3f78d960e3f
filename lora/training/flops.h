#pragma once
// The arithmetic that training a batch takes in any implementation, for utilisation figures.

#include <cstdint>
#include <vector>

#include "models/network/decoder.h"

namespace lora {

// Floating-point operations of one forward and backward pass, nothing computed twice: 2 a weight and token forward, 2
// for the gradient of the input and, where the weight is trained, 2 for its own; adapters 6; attention 2 products
// forward and 4 backward over the pairs that its mask lets through. The head counts for supervised tokens alone.
double pass_flops(const LlamaForCausalLM& model, const std::vector<int64_t>& sample_lengths, int64_t supervised);

}  // namespace lora
