#pragma once
// Causal self-attention over samples that lie back to back (Vaswani et al. 2017; grouped queries: Ainslie et al. 2023).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lora {

// How the samples of a batch are attended to, made once and used by every layer. Samples of nearly one length form a
// group that is attended to in one call, the shorter ones filled up at their end: a causal query never sees what comes
// after it, so the filling needs no mask and changes nothing.
struct AttentionPlan {
  struct Group {
    int64_t samples, length;
    at::Tensor tokens;  // (samples · length) int64: each place's token in the batch
  };
  std::vector<Group> groups;
  at::Tensor
      places;  // (N) int64: each token's place in the groups' outputs, one after another; undefined for one sample
};
AttentionPlan make_attention_plan(const std::vector<int64_t>& lengths, const at::Device& device);

// How a query weighs the keys it sees.
struct AttentionScores {
  double scale = 1;    // of q·k
  double softcap = 0;  // c: the scaled scores become c·tanh(score/c); 0: as they are
  int64_t window = 0;  // a token sees itself and the window − 1 before it; 0: all before it
};

// How a token's queries, keys and values lie side by side: [q | k | v].
struct HeadLayout {
  int64_t heads, kv_heads, dim;  // heads: of queries, a multiple of kv_heads
  int64_t width() const { return (heads + 2 * kv_heads) * dim; }
};

// q (N, heads, D), k and v (N, kv_heads, D), heads a multiple of kv_heads -> (N, heads, D). Token t of a sample sees
// tokens 0 … t of that sample, within the window, and nothing else. Differentiable.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan,
                            const AttentionScores& scores);

// One sample's new queries against all of its keys: q (T, heads, D), k and v (S, kv_heads, D), S >= T; query t is at
// position S - T + t.
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionScores& scores);

}  // namespace lora
