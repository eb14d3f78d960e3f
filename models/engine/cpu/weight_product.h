#pragma once
// Products of activations and weights with a low-rank adapter folded into the same float32 sums, so that the result is
// rounded once: C = Σ A_i · M_i + low · P + D. In bfloat16 on AMX or AVX512-BF16, in float32 on AVX-512.
// (LibTorch's product needs a second pass over C for the adapter.)
//
// T is float or Bf16. None of these starts threads: the caller splits the columns.

#include <algorithm>
#include <cstddef>
#include <span>

#include "models/engine/cpu/bf16.h"
#include "models/engine/cpu/low_rank.h"

namespace lora::kernels {

// A (rows, depth) times M (depth, columns). m is M, or with `transposed` Mᵀ (columns, depth); contiguous but for the
// stride of its rows.
template <class T>
struct ProductTerm {
  const T* a;
  size_t a_stride;
  const T* m;
  size_t m_stride, depth;
  bool transposed;
};
template <class T>
using ProductTerms = std::span<const ProductTerm<T>>;

// low (rows, ranks), and P as matrices one above the other, each padded to 16 rows and as wide as C.
struct FoldedTerm {
  const float* low = nullptr;
  size_t low_stride = 0;
  std::span<const LowRankMatrix> matrices = {};

  size_t ranks() const {
    size_t sum = 0;
    for (const auto& m : matrices) sum += padded_rank(m.depth);
    return sum;
  }
};

// Whether weight_product can do it on this processor; rows, depths and columns are to be multiples of 32.
template <class T>
bool weight_product_serves(size_t rows, size_t depth, size_t columns);

// As much of a term's depth as is worked on at a time.
template <class T>
size_t chunk_depth(size_t depth) {
  constexpr size_t kMost = 3072 / sizeof(T);
  const size_t chunks = (depth + kMost - 1) / kMost;
  return ((depth + chunks - 1) / chunks + 31) / 32 * 32;
}
template <class T>
size_t chunk_depth(ProductTerms<T> terms) {
  size_t deepest = 0;
  for (const auto& term : terms) deepest = std::max(deepest, chunk_depth<T>(term.depth));
  return deepest;
}
// Floats that one call needs for itself.
template <class T>
size_t weight_product_scratch_floats(ProductTerms<T> terms, const FoldedTerm& folded, size_t rows, size_t columns);

// Columns of M, and of C.
struct ColumnRange {
  size_t first, count;
};

// These columns of C, of which c is the first row's first element; d, shaped and laid out as C, may be c or null.
template <class T>
void weight_product(ProductTerms<T> terms, const FoldedTerm& folded, size_t rows, ColumnRange columns, const T* d, T* c,
                    size_t c_stride, float* scratch);

}  // namespace lora::kernels
