#pragma once
// One autograd node for a whole decoder layer, with a hand-written backward. Frozen tensors get no gradient; only
// activations that cost more to recompute than to store are kept.
//
// x (N, H) -> h = x + o(attention(q, k, v of norm(x))) -> h + down(act(gate(norm(h))) · up(norm(h))). Each norm may be
// missing. Queries, keys and the two summands may have norms of their own, and the summands a scale. The same in plain
// modules is DecoderLayer::forward; tests hold the two equal.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "models/engine/attention.h"
#include "models/engine/execution_plan.h"
#include "models/engine/host_blocks.h"
#include "models/engine/linear_group.h"

namespace lora {

struct FusedLayerParts {
  // [q | k | v] and [gate | up], as one or several projections.
  std::vector<LinearParts> qkv, o, gate_up, down;
  // Weights of RMSNorms, (H) each; undefined: there is none.
  at::Tensor before_attention, after_attention, before_mlp, after_mlp;
  at::Tensor q_norm, k_norm;                // (dim), of each head; or (heads·dim) and (kv_heads·dim), of all
  bool norms_multiply_by_one_plus = false;  // by 1 + w instead of w
  double eps = 0;
  HeadLayout layout;
  AttentionScores scores;
  double residual_scale = 1;  // of the summands of x and h
  bool gelu = false;          // act is GELU in its tanh approximation instead of SiLU
};

struct FusedBatch {
  Sequences sequences;
  at::Tensor cos, sin;  // (N, R/2) float32, of the R first of a head's dim; undefined: queries and keys are not turned
  ExecutionPlan plan = {};
  std::shared_ptr<HostBlocks> fetched = {};  // that hold the weights of this layer, which is entered; null: none
  int64_t layer = 0;                         // its number in them
};

// x (N, H), contiguous -> (N, H). Device and dtype are any that `operations` is for (operations.h). Differentiable
// once, with respect to x and to every tensor of `parts` that requires a gradient.
at::Tensor fused_layer(const at::Tensor& x, const FusedLayerParts& parts, const FusedBatch& batch,
                       const Operations& operations);

}  // namespace lora
