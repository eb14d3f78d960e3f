#pragma once
// Causal attention of one head over one sample, forward and backward (Vaswani et al. 2017; the backward recomputes the
// probabilities from the kept log-sum-exp, after Dao et al. 2022).
//
// A block of queries against all keys it may see: the scores of a block are held whole, so that softmax is exact and
// done once, and nothing above the diagonal's block is computed. Every product is a register tile over "words": a
// float32, or where the processor multiplies bfloat16 pairs and T is Bf16, two neighbouring bfloat16 along the
// contraction. Sums are float32 either way. T is float or Bf16.

#include <cstddef>

#include "models/engine/cpu/bf16.h"

namespace lora::kernels {

// Keys and values of one sample and key head, laid out for the products. Sizes in floats are attention_panel_floats.
struct AttentionPanels {
  float* k_transposed;  // forward and backward
  float* v_rows;        // forward
  float* k_rows;        // backward
  float* v_transposed;  // backward
};

template <class T>
struct AttentionHead {
  size_t tokens, dim;                  // dim is even
  float scale;                         // of the scores
  float softcap = 0;                   // c: scaled scores become c·tanh(score/c); 0: they stay
  size_t window = 0;                   // a query sees itself and the window − 1 keys before it; 0: all before it
  const T *q, *k, *v;                  // first row each
  size_t stride;                       // between rows of q, k, v and dq
  T* out;                              // (tokens, dim)
  size_t out_stride;                   // between rows of out and dout
  float* log_sum;                      // (tokens): log of the sum of exp(score), written forward, read backward
  const T* dout = nullptr;             // backward: gradient of out
  T* dq = nullptr;                     // backward: written
  float *dk = nullptr, *dv = nullptr;  // backward: (tokens, attention_padded(dim)) each
  bool adds = false;                   // backward: to dk and dv, which are otherwise written
  float* scratch;                      // attention_scratch_floats
};

// Row length of dk and dv: `dim` rounded up to whole vectors.
size_t attention_padded(size_t dim);
size_t attention_panel_floats(size_t tokens, size_t dim);  // of each panel
size_t attention_scratch_floats(size_t tokens, size_t dim);

template <class T>
void attention_pack(const AttentionHead<T>& head, const AttentionPanels& panels, bool backward);
template <class T>
void attention_forward(const AttentionHead<T>& head, const AttentionPanels& panels);
template <class T>
void attention_backward(const AttentionHead<T>& head, const AttentionPanels& panels);

}  // namespace lora::kernels
