#pragma once
// What the network reads: samples back to back, no padding. Sample i covers `lengths[i]` tokens; positions restart at
// each sample and no sample attends to another.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lora {

struct TokenBatch {
  at::Tensor input_ids;          // (N) int64, N = sum of lengths
  std::vector<int64_t> lengths;  // one a sample, each >= 1
};

// The target of a token that the loss leaves out; PyTorch's and Hugging Face's ignore_index.
constexpr int64_t kIgnoredTarget = -100;

}  // namespace lora
