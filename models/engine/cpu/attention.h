#pragma once
// Causal attention of one head over one sample, forward and backward (Vaswani et al. 2017). The backward recomputes the
// probabilities from the kept log-sum-exp (Dao et al. 2022).
//
// A block of queries meets all keys that it may see: the scores of a block are held whole, so that softmax is exact and
// computed once, and nothing above the diagonal's block is computed. Every product is a register tile over words: a
// float32, or where the processor multiplies bfloat16 pairs and T is Bf16, two neighbouring bfloat16 along the
// contraction. Sums are float32 either way.

#include <algorithm>
#include <cstddef>

#include "models/base/numbers.h"
#include "models/engine/cpu/bf16.h"
#include "models/engine/cpu/matrix.h"

namespace lora::kernels {

constexpr size_t kQueryBlock = 32;

// Keys and values of one sample and key head, laid out for the products: attention_panel_floats each.
struct AttentionPanels {
  float* k_transposed;  // forward and backward
  float* v_rows;        // forward
  float* k_rows;        // backward
  float* v_transposed;  // backward
};

template <class T>
struct AttentionHead {
  Matrix<const T> q, k, v;             // (tokens, dim); dim is even
  float scale;                         // of the scores
  float softcap = 0;                   // c: scaled scores become c·tanh(score/c); 0: no soft cap
  size_t window = 0;                   // a query sees itself and the window − 1 keys before it; 0: all before it
  size_t known = 0;                    // the first queries are not computed: out, log_sum, dout and dq end there
  Matrix<T> out;                       // (tokens, dim): written forward, read backward
  float* log_sum;                      // (tokens): log of the sum of exp(score), written forward, read backward
  Matrix<const T> dout = {};           // backward: gradient of out
  Matrix<T> dq = {};                   // backward: written
  float *dk = nullptr, *dv = nullptr;  // backward: (tokens, attention_padded(dim)) each, contiguous
  bool adds = false;                   // backward: whether to add to dk and dv, instead of writing them
  float* scratch;                      // attention_scratch_floats

  size_t tokens() const { return q.rows; }
  size_t dim() const { return q.columns; }
};

// T: float or Bf16.
template <class T>
struct AttentionKernels {
  // Lays k and v out for the forward or for the backward pass.
  void (*pack)(const AttentionHead<T>& head, const AttentionPanels& panels, bool backward);
  void (*forward)(const AttentionHead<T>& head, const AttentionPanels& panels);
  void (*backward)(const AttentionHead<T>& head, const AttentionPanels& panels);
};

// `n` rounded up to whole vectors: the row length of dk and dv, for n = dim.
constexpr size_t attention_padded(size_t n) { return round_up<size_t>(n, 16); }
// AMX's tiles have 32 keys.
constexpr size_t attention_panel_floats(size_t tokens, size_t dim) {
  return round_up<size_t>(tokens, 32) * attention_padded(dim);
}
// Of one call.
constexpr size_t attention_scratch_floats(size_t tokens, size_t dim) {
  const size_t keys = round_up<size_t>(tokens, 32), width = attention_padded(dim);
  const size_t words = kQueryBlock * (3 * keys + 4 * width);
  const size_t tiles = kQueryBlock * (3 * keys + 2 * width + round_up<size_t>(dim, 32)) + 2 * keys * width;
  return std::max(words, tiles);
}

}  // namespace lora::kernels
