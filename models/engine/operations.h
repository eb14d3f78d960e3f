#pragma once
// The boundary between the engine and a device. The engine (fused_layer.h, linear_group.h, linear_cross_entropy.h,
// dropout.h) is written once, in terms of a table of operations on tensors and of ATen's own operations.
//
//   cpu/    SIMD kernels: the CPU, float32 and bfloat16
//   aten/   ATen's operations alone: any device, which is how a GPU is reached; float32, bfloat16, float16 and float64.
//           Tests hold the kernels to it.
//
// The tensors of a call are on one device. N is a number of tokens: rows. The activations of a call have one dtype.
// Sums are of its wide dtype (wide_dtype), and a result is rounded once, when it is stored. The columns of a matrix are
// contiguous; its rows may be apart, as those of a slice of columns are, unless it says contiguous. No operation
// records for autograd or counts its time (profile.h): the engine does.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "models/engine/attention.h"
#include "models/engine/norm.h"

namespace lora {

// The dtype of sums, adapters and what lies between A and B: float64 for float64, else float32.
constexpr at::ScalarType wide_dtype(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

struct AttentionResult {
  at::Tensor out;  // (N, heads·dim), qkv's dtype
  // (heads, N), wide: the log of the sum of the exponentials of a query's scores. For the backward of the same table alone.
  at::Tensor log_sum;
};

// A matrix of an adapter (depth, columns): scale · m, or scale · mᵀ. m is wide and contiguous.
struct LowRankFactor {
  at::Tensor m;
  bool transposed = false;
  double scale = 1;
};

// `low` (N, Σ padded ranks), wide, times the matrices one above the other, each padded to padded_rank rows. Without
// matrices: nothing.
struct Folded {
  at::Tensor low;
  std::vector<LowRankFactor> matrices;
};

// a (N, depth) times m (depth, columns), or times the transpose of m (columns, depth).
struct ProductTerm {
  at::Tensor a, m;
  bool transposed;
};

// y (N, columns) = Σ terms + what is folded in + `added`, which is undefined, or y, or has y's shape and strides.
struct WeightProduct {
  std::vector<ProductTerm> terms;
  Folded folded = {};
  at::Tensor added = {};
  at::Tensor y;
};

struct Operations {
  // Columns [column, column + width) of x -> the same columns of y: RMSNorms side by side, each as wide as the norm's
  // weight. x, y (N, …).
  void (*norm_columns)(const Norm& norm, const at::Tensor& x, const at::Tensor& y, int64_t column, int64_t width);
  // The same columns of dx = the gradient of x + base. `base` may be dx, or undefined. x, dy, base, dx (N, …).
  void (*norm_columns_backward)(const Norm& norm, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& base,
                                const at::Tensor& dx, int64_t column, int64_t width);

  // Rotary embedding of queries and keys, in place. In each head of qkv (N, layout.width()), contiguous, the pair
  // (i, i + R/2) rotates by its token's angle i, for i < R/2. cos, sin (N, R/2) float32, contiguous. direction: 1, or
  // -1 for the inverse, which is also the gradient.
  void (*rotate)(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin, const HeadLayout& layout,
                 float direction);

  // [g | u] (N, 2·F) -> silu(g) · u (N, F). Both are contiguous.
  at::Tensor (*swiglu)(const at::Tensor& gate_up);
  // gate_up becomes its gradient; dy (N, F), the gradient of the result, becomes the result.
  void (*swiglu_backward)(const at::Tensor& gate_up, const at::Tensor& dy);
  // The same two with GELU in its tanh approximation instead of SiLU.
  at::Tensor (*geglu)(const at::Tensor& gate_up);
  void (*geglu_backward)(const at::Tensor& gate_up, const at::Tensor& dy);

  // Causal self-attention over sequences that lie back to back, N tokens in all. qkv (N, layout.width()), rotated
  // already, contiguous. Of tokens that are keys and values alone (sequences.known) nothing is computed: the result has
  // any values there. It does not depend on the number of threads.
  AttentionResult (*packed_attention)(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                      const AttentionScores& scores);
  // The gradient of qkv, shaped like it. dout (N, heads·dim), contiguous: the gradient of result.out. Of tokens that are
  // keys and values alone, result and dout are not read, and the gradient of the query has any values.
  at::Tensor (*packed_attention_backward)(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                          const AttentionScores& scores, const AttentionResult& result,
                                          const at::Tensor& dout);

  // The products of low-rank adapters, whose matrices are wide whatever the dtype of the activations.
  // y (N, Σ padded ranks), wide = x (N, depth) · the matrices side by side, each padded to padded_rank columns.
  void (*project_rows)(const at::Tensor& x, std::span<const LowRankFactor> matrices, const at::Tensor& y);
  // y (N, columns) += x (N, Σ padded ranks), wide · the matrices one above the other, each padded to padded_rank rows.
  void (*add_rows)(const at::Tensor& x, std::span<const LowRankFactor> matrices, const at::Tensor& y);
  // scale · pᵀ · x: (r, columns), wide, from p (N, r), wide, and x (N, columns).
  at::Tensor (*thin_gradient)(const at::Tensor& p, const at::Tensor& x, double scale);

  // Whether weight_products takes activations of that dtype, with so many rows, and a weight of that shape (out, in).
  // Where it does not, the engine uses ATen's products and add_rows.
  bool (*takes_product)(at::ScalarType dtype, int64_t rows, at::IntArrayRef weight);
  // Computes `products`; all have the same row count and dtype.
  void (*weight_products)(std::span<const WeightProduct> products);

  // x / (1 − p), with zeros where (key, index in the flattened tensor) says so; x itself for p = 0. Shaped like x, and
  // contiguous. conventions.h has the rule that drops.
  at::Tensor (*dropout)(const at::Tensor& x, double p, uint64_t key);

  // −log softmax(logits)[target] of each row: (N), wide. logits (N, V) contiguous, targets (N) int64 in [0, V). With
  // `gradient` each row of logits becomes the gradient of its loss.
  at::Tensor (*cross_entropy)(const at::Tensor& logits, const at::Tensor& targets, bool gradient);
};

// Tables live as long as the program.

// The table that a device computes layers by, for activations of that dtype: of the CPU its kernels, of another device
// ATen's. Null for what the CPU has no kernels for, and on the meta device.
const Operations* operations_for(c10::Device device, at::ScalarType dtype);
const Operations* operations_for(const at::Tensor& activations);

// The table in ATen's operations.
const Operations& aten_operations();

// The same, or ATen's table where that is null.
const Operations& some_operations_for(const at::Tensor& activations);

}  // namespace lora
