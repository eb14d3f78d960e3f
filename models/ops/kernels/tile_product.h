#pragma once
// Products of bfloat16 activations and weights on AMX, with a low-rank adapter folded into the same float32 sums, so
// that the result is rounded once: C = Σ A_i · M_i + low · P, or C += …. (LibTorch's product packs the weight at each
// call and needs a second pass over C for the adapter; on processors without AMX it is the faster of the two.)
//
// None of these starts threads: the caller splits the columns.

#include <cstddef>
#include <span>

#include "models/ops/kernels/bf16.h"

namespace lora::kernels {

// A (rows, depth) times M (depth, columns). m is M, or with `transposed` Mᵀ (columns, depth); contiguous but for the
// stride of its rows.
struct ProductTerm {
  const Bf16* a;
  size_t a_stride;
  const Bf16* m;
  size_t m_stride, depth;
  bool transposed;
};

// low (rows, 16 · blocks) as tile_split has written it, and the matrix as a panel of LowRankUse::kAdd for bfloat16,
// `columns` wide.
struct FoldedTerm {
  const Bf16* split = nullptr;
  size_t blocks = 0;
  const float* panel = nullptr;
  size_t columns = 0;
};

// Whether tile_product can do it here: on AMX, rows, depths and columns being multiples of 32.
bool tile_product_serves(size_t rows, size_t depth, size_t columns);

// Floats that hold the split of `low` (rows, 16 · blocks), and those that one call needs for itself.
size_t tile_split_floats(size_t rows, size_t blocks);
size_t tile_product_scratch_floats(std::span<const ProductTerm> terms, const FoldedTerm& folded, size_t rows,
                                   size_t columns);
// As much of a term's depth as is worked on at a time, and the most of any term.
size_t tile_chunk_depth(size_t depth);
size_t tile_chunk_depth(std::span<const ProductTerm> terms);

void tile_split(const float* low, size_t low_stride, size_t rows, size_t blocks, Bf16* split);

// Columns of M, and of C.
struct ColumnRange {
  size_t first, count;
};

// These columns of C, of which c is the first row's first element.
void tile_product(std::span<const ProductTerm> terms, const FoldedTerm& folded, size_t rows, ColumnRange columns,
                  Bf16* c, size_t c_stride, bool add, float* scratch);

}  // namespace lora::kernels
