#pragma once
// A whole decoder layer, forward and backward written by hand, as one node of autograd: no node a small product, no
// gradient for what is frozen, and only those activations kept that are dearer to compute again than to hold.
//
// x (N, H) -> h = x + o(attention(q, k, v of norm(x))) -> h + down(act(gate(norm(h))) · up(norm(h))). Of the norms each
// may be missing; there may be others of what is added, and of queries and keys; what is added may have a scale. The
// plain path is DecoderLayer::forward; tests hold the two equal.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/engine/execution_plan.h"
#include "models/engine/linear_group.h"
#include "models/engine/packed_attention.h"

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
  double residual_scale = 1;  // of what is added to x and to h
  bool gelu = false;          // act is GELU in its tanh approximation instead of SiLU
};

struct FusedBatch {
  std::vector<int64_t> lengths;
  at::Tensor cos, sin;  // (N, R/2) float32, of the R first of a head's dim; undefined: queries and keys are not turned
  ExecutionPlan plan;
};

// x (N, H) float32 or bfloat16 on the CPU, contiguous -> (N, H). Differentiable once, with respect to x and to every
// tensor of `parts` that requires a gradient.
at::Tensor fused_layer(const at::Tensor& x, const FusedLayerParts& parts, const FusedBatch& batch);

}  // namespace lora
