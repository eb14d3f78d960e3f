#pragma once
// Causal self-attention over samples that lie back to back, on the CPU, from the projections' joint buffer and back
// into it. The hand-written half of models/engine/attention.h: no autograd inside.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/engine/attention.h"

namespace lora {

struct HeadLayout {
  int64_t heads, kv_heads, dim;
  int64_t width() const { return (heads + 2 * kv_heads) * dim; }  // of a row [q | k | v]
};

struct AttentionResult {
  at::Tensor out;      // (N, heads·dim), qkv's dtype
  at::Tensor log_sum;  // (heads, N) float32, for the backward
};

// qkv (N, layout.width()), rotated already, float32 or bfloat16, contiguous; lengths of the samples, N in all. Work is
// shared out by sample and head; the result does not depend on the number of threads.
AttentionResult packed_attention(const at::Tensor& qkv, const std::vector<int64_t>& lengths, const HeadLayout& layout,
                                 const AttentionScores& scores);

// The gradient of qkv, shaped like it.
at::Tensor packed_attention_backward(const at::Tensor& qkv, const std::vector<int64_t>& lengths,
                                     const HeadLayout& layout, const AttentionScores& scores,
                                     const AttentionResult& result, const at::Tensor& dout);

}  // namespace lora
