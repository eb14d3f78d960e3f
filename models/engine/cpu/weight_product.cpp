#include "models/engine/cpu/weight_product.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/weight_product.cpp"
#include <hwy/foreach_target.h>
// What follows is compiled once an instruction set.
#include <hwy/highway.h>

#include "models/engine/cpu/product_lanes-inl.h"
#include "models/engine/cpu/product_tiles-inl.h"
#include "models/engine/cpu/product_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

#if LORA_AVX512

// A chunk of a term's contraction: short enough for the laid out columns of M, and the sums between chunks, to stay in
// the second-level cache.
template <class T>
struct Chunk {
  const ProductTerm<T>* term;
  size_t k, depth;

  // 32 rows of A.
  Matrix<const T> Rows(size_t first) const { return term->a.row_range(first, kUnit).column_range(k, depth); }
};

template <class T>
HWY_INLINE Chunk<T> FirstChunk(const ProductTerm<T>& term) {
  return {&term, 0, chunk_depth<T>(term.depth())};
}

// The chunk after one that is not the last.
template <class T>
HWY_INLINE Chunk<T> NextChunk(const Chunk<T>& chunk) {
  const size_t k = chunk.k + chunk.depth;
  if (k == chunk.term->depth()) return FirstChunk(chunk.term[1]);
  return {chunk.term, k, HWY_MIN(FirstChunk(*chunk.term).depth, chunk.term->depth() - k)};
}

// The first element in M of a column and a step of a chunk.
template <class T>
HWY_INLINE const T* Block(const Chunk<T>& chunk, size_t step, size_t column) {
  const ProductTerm<T>& term = *chunk.term;
  const size_t k = chunk.k + step * kStepDepth<T>;
  return term.transposed ? term.m.row(column) + k : term.m.row(k) + column;
}

// The words of 32 · units columns, a step deep: [16 columns][word][column] for each unit, unit_floats apart.
HWY_INLINE void LayStep(const Bf16* from, size_t stride, size_t units, float* to, size_t unit_floats) {
  blocks::PairWholeRows(from, stride, units, to, unit_floats);
}
HWY_INLINE void LayStep(const float* from, size_t stride, size_t units, float* to, size_t unit_floats) {
  const D d;
  for (size_t k = 0; k < kStepDepth<float>; ++k, from += stride, to += 16) {
    for (size_t u = 0; u < units; ++u) {
      hn::StoreU(hn::LoadU(d, from + u * kUnit), d, to + u * unit_floats);
      hn::StoreU(hn::LoadU(d, from + u * kUnit + 16), d, to + u * unit_floats + kFloats);
    }
  }
}

// M's columns [first, first + 32 · units) of a chunk: [step][16 columns][word][column] for each unit. Those of a
// transposed M are read across its rows; meanwhile the rows of the next unit are prefetched.
template <class T>
HWY_INLINE void PackChunk(const Chunk<T>& chunk, size_t first, size_t units, size_t unit_floats, float* to) {
  const size_t stride = chunk.term->m.stride, steps = chunk.depth / kStepDepth<T>;
  if (chunk.term->transposed) {
    Prefetcher next(Matrix<const T>{Block(chunk, 0, first), units * kUnit, chunk.depth, stride});
    next.Share(steps * units);
    for (size_t s = 0; s < steps; ++s) next.Step();
    for (size_t u = 0; u < units; ++u) {
      for (size_t s = 0; s < steps; ++s) {
        next.Step();
        const T* const from = Block(chunk, s, first + u * kUnit);
        const size_t row_words = stride * sizeof(T) / sizeof(float);
        float* const words = to + u * unit_floats + s * 2 * kFloats;
        blocks::TransposeBlock(from, row_words, words);
        blocks::TransposeBlock(from + 16 * stride, row_words, words + kFloats);
      }
    }
  } else {
    for (size_t s = 0; s < steps; ++s) {
      LayStep(Block(chunk, s, first), stride, units, to + s * 2 * kFloats, unit_floats);
    }
  }
}

// Units, of tiles or of vectors, say how many floats they need for themselves and for the folded term, lay out 32
// columns of P, prefetch the next rows of A, and multiply unit by unit. C is complete after End().
template <class Units, class T>
void RunBy(const FoldedProduct<T>& product, ColumnRange columns, float* scratch) {
  const auto& [terms, folded, added, c] = product;
  const size_t count = columns.count / kUnit, ranks = folded.ranks(), folded_floats = Units::FoldedFloats(ranks);
  Units units(product, c.data + columns.first, added.data ? added.data + columns.first : nullptr, scratch);
  float* const packed = scratch + Units::ScratchFloats(c.rows, ranks);
  float* const partial = packed + count * (deepest_chunk(terms) * sizeof(T) / sizeof(float) * kUnit + folded_floats);
  bool last = false;
  for (Chunk<T> chunk = FirstChunk(terms[0]), then = chunk; !last; chunk = then) {
    const ProductTerm<T>& term = *chunk.term;
    const bool first = &term == &terms[0] && chunk.k == 0;
    last = &term == &terms.back() && chunk.k + chunk.depth == term.depth();
    then = last ? chunk : NextChunk(chunk);
    const size_t steps = chunk.depth / kStepDepth<T>, unit_floats = steps * 2 * kFloats + (last ? folded_floats : 0);
    PackChunk(chunk, columns.first, count, unit_floats, packed);
    for (size_t u = 0; last && u < count; ++u) {
      float* to = packed + u * unit_floats + steps * 2 * kFloats;
      Units::PackFolded(folded, columns.first + u * kUnit, to);
    }
    for (size_t r = 0; r < c.rows; r += kUnit) {
      const bool more = r + kUnit < c.rows;
      units.Ahead((more ? chunk : then).Rows(more ? r + kUnit : 0),
                  count * (steps + (last ? folded_floats / (2 * kFloats) : 0)));
      for (size_t u = 0; u < count; ++u) {
        units.Multiply(UnitWork<T>{chunk.Rows(r), steps, packed + u * unit_floats,
                                   partial + (r / kUnit * count + u) * kSums, first, last, r,
                                   r * c.stride + u * kUnit});
      }
    }
  }
  units.End();
}

template <class T>
void Run(const FoldedProduct<T>& product, ColumnRange columns, float* scratch) {
  if constexpr (std::is_same_v<T, Bf16>) {
    if (amx()) return RunBy<on_tiles::Units>(product, columns, scratch);
  }
  RunBy<on_vectors::Units<T>>(product, columns, scratch);
}
template <class T>
bool Takes(size_t rows, size_t depth, size_t columns) {
  const bool can = std::is_same_v<T, float> || avx512_bf16;  // a processor that has AMX has AVX512-BF16
  return can && rows % 32 == 0 && depth % 32 == 0 && columns % 32 == 0;
}
template <class T>
size_t ScratchFloats(const FoldedProduct<T>& product, size_t columns) {
  const size_t deepest = deepest_chunk(product.terms), words = deepest * sizeof(T) / sizeof(float);
  const bool partial = product.terms.size() > 1 || deepest < product.terms[0].depth();  // keeps sums between chunks
  const size_t ranks = product.folded.ranks(), rows = product.c.rows;
  return 2 * kSums + rows * ranks + (words + 2 * ranks) * columns + (partial ? rows * columns : 0);
}
#else
template <class T>
void Run(const FoldedProduct<T>& product, ColumnRange columns, float* scratch) {
  on_lanes::Product<T>(product, columns, scratch).Run();
}
template <class T>
bool Takes(size_t, size_t, size_t) {
  return std::is_same_v<T, Bf16>;  // LibTorch's product of float32 is as fast
}
template <class T>
size_t ScratchFloats(const FoldedProduct<T>& product, size_t columns) {
  return on_lanes::ScratchFloats(product.c.rows, columns);
}
#endif

template <class T>
WeightProductKernels<T> WeightProduct() {
  return {.takes = Takes<T>, .scratch_floats = ScratchFloats<T>, .run = Run<T>};
}
template WeightProductKernels<float> WeightProduct();
template WeightProductKernels<Bf16> WeightProduct();

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
