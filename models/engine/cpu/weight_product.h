#pragma once
// Products of activations and weights with a low-rank adapter folded into the same float32 sums, so that the result is
// rounded once: C = Σ A_i · M_i + low · P + D. In bfloat16 on AMX or AVX512-BF16, in float32 on AVX-512, and in bfloat16
// on processors without AVX-512. (LibTorch's product needs a second pass over C for the adapter.)

#include <algorithm>
#include <cstddef>
#include <span>

#include "models/base/numbers.h"
#include "models/engine/cpu/bf16.h"
#include "models/engine/cpu/low_rank.h"
#include "models/engine/cpu/matrix.h"

namespace lora::kernels {

// A (rows, depth) times M (depth, columns). m is M, or with `transposed` Mᵀ (columns, depth).
template <class T>
struct ProductTerm {
  Matrix<const T> a, m;
  bool transposed;

  size_t depth() const { return a.columns; }
};

// low (rows, ranks), and P as matrices one above the other, each padded to 16 rows and as wide as C. Or nothing.
struct FoldedTerm {
  Matrix<const float> low = {};
  std::span<const LowRankMatrix> matrices = {};

  size_t ranks() const {
    size_t sum = 0;
    for (const auto& m : matrices) sum += padded_rank(m.depth);
    return sum;
  }
};

// The memory of everything in it belongs to the caller.
template <class T>
struct FoldedProduct {
  std::span<const ProductTerm<T>> terms;  // at least one
  FoldedTerm folded;
  Matrix<const T> added;  // D: has c's shape and stride, and may be c; or missing
  Matrix<T> c;            // (rows, columns)
};

// Of M, and of C.
struct ColumnRange {
  size_t first, count;
};

// T: float or Bf16. The caller divides the columns among threads.
template <class T>
struct WeightProductKernels {
  // Whether `run` takes products of this size on this processor. On AVX-512 sizes have to be multiples of 32.
  bool (*takes)(size_t rows, size_t depth, size_t columns);

  // Scratch memory of one call that computes so many columns.
  size_t (*scratch_floats)(const FoldedProduct<T>& product, size_t columns);

  // Computes these columns of C.
  void (*run)(const FoldedProduct<T>& product, ColumnRange columns, float* scratch);
};

// The depth of the chunks that a term is worked on in.
template <class T>
constexpr size_t chunk_depth(size_t depth) {
  constexpr size_t kMost = 3072 / sizeof(T);
  return round_up<size_t>(ceil_div(depth, ceil_div(depth, kMost)), 32);
}
template <class T>
size_t deepest_chunk(std::span<const ProductTerm<T>> terms) {
  size_t deepest = 0;
  for (const auto& term : terms) deepest = std::max(deepest, chunk_depth<T>(term.depth()));
  return deepest;
}

}  // namespace lora::kernels
