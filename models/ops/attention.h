#pragma once
// Causal self-attention over samples that lie back to back (Vaswani et al. 2017; grouped queries: Ainslie et al. 2023).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lora {

// q (N, heads, D), k and v (N, kv_heads, D), heads a multiple of kv_heads -> (N, heads, D). Token t of a sample sees
// tokens 0 … t of that sample and nothing else. Differentiable.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const std::vector<int64_t>& lengths);

// One sample's new queries against all of its keys: q (T, heads, D), k and v (S, kv_heads, D), S >= T; query t is at
// position S - T + t.
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

}  // namespace lora
