#pragma once
// Attention of new tokens against a sequence's pages of keys and values (models/engine/kv_pages.h). T, float, Bf16 or
// int8_t, is the dtype of the pages; queries, scores and results are float32. A query's result has the same bits
// whichever queries are computed beside it.

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "models/base/numbers.h"
#include "models/engine/cpu/bf16.h"
#include "models/engine/cpu/matrix.h"

namespace lora::kernels {

constexpr size_t kPage = 32;        // tokens
constexpr size_t kMostQueries = 8;  // of one call

// Of the keys, or the values, of one head in a page: the numbers, and for int8_t a float32 scale of each token.
template <class T>
constexpr size_t page_elements(size_t dim) {
  return kPage * dim + (std::is_same_v<T, int8_t> ? kPage * sizeof(float) : 0);
}

// Up to kMostQueries queries that share a head of keys: of the heads of a group, of neighbouring tokens, or both.
template <class T>
struct PagedQueries {
  const float* q[kMostQueries];     // (dim) each, rotated
  float* out[kMostQueries];         // (dim) each: written
  size_t seen[kMostQueries];        // query i sees the tokens before this one, ascending
  size_t count;                     // of queries
  size_t dim;                       // even
  std::span<const T* const> pages;  // the sequence's pages
  size_t keys, values;              // where this head's begin in a page (int8_t: whole floats from its start)
  float scale, softcap = 0;         // as in AttentionScores
  size_t window = 0;                // likewise
  float* scratch;                   // paged_scratch_floats
};

// For sequences of so many tokens.
constexpr size_t paged_scratch_floats(size_t tokens) { return kMostQueries * round_up<size_t>(tokens, kPage); }

template <class T>
struct PagedAttentionKernels {
  void (*attend)(const PagedQueries<T>& queries);
  // A token's keys and values of one head, (dim) each, into a page at `slot`.
  void (*store)(const float* key, const float* value, size_t dim, size_t slot, T* keys, T* values);
};

// Of the best instruction set that this processor has.
template <class T>
const PagedAttentionKernels<T>& paged_attention_kernels();

}  // namespace lora::kernels
