#pragma once
// What the network reads: samples back to back, no padding. Sample i covers `lengths[i]` tokens; positions restart at
// each sample and no sample attends to another. A sample may fork: two continuations share a prompt, and neither sees
// the other.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/engine/attention.h"

namespace lora {

struct TokenBatch {
  at::Tensor input_ids;          // (N) int64, N = sum of lengths
  std::vector<int64_t> lengths;  // one a sample, each >= 1
  std::vector<Fork> forks = {};  // of the samples, as far as it goes; without a cache alone
};

// The target of a token that the loss leaves out; PyTorch's and Hugging Face's ignore_index.
constexpr int64_t kIgnoredTarget = -100;

}  // namespace lora
