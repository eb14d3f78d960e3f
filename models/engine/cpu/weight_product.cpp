#include "models/engine/cpu/weight_product.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "models/engine/cpu/low_rank.h"
#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/weight_product.cpp"
#include <hwy/foreach_target.h>
// The includes below are made once an instruction set.
#include <hwy/highway.h>

#include "models/engine/cpu/tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

#if LORA_AVX512
using blocks::D;
using blocks::kFloats;
using blocks::W;
using blocks::Word;

// C goes by units of 32 rows and 32 columns; the contraction by chunks, short enough for the columns of M that are laid
// out, and the sums between chunks, to stay in the second-level cache. A step is 16 words of the contraction, a word
// being a float32 or two neighbouring bfloat16.
constexpr size_t kUnit = 32, kSums = kUnit * kUnit;
template <class T>
constexpr size_t kDepth = 64 / sizeof(T);

template <class T>
struct Chunk {
  const ProductTerm<T>* term;
  size_t k, depth;
};

template <class T>
HWY_INLINE Chunk<T> FirstChunk(const ProductTerm<T>& term) {
  return {&term, 0, chunk_depth<T>(term.depth)};
}

// The chunk after one that is not the last.
template <class T>
HWY_INLINE Chunk<T> NextChunk(const Chunk<T>& chunk) {
  const size_t k = chunk.k + chunk.depth;
  if (k == chunk.term->depth) return FirstChunk(chunk.term[1]);
  return {chunk.term, k, HWY_MIN(FirstChunk(*chunk.term).depth, chunk.term->depth - k)};
}

// Where a step of a chunk begins in M, at a column.
template <class T>
HWY_INLINE const T* Block(const Chunk<T>& chunk, size_t step, size_t column) {
  const ProductTerm<T>& term = *chunk.term;
  const size_t k = chunk.k + step * kDepth<T>;
  return term.transposed ? term.m + column * term.m_stride + k : term.m + k * term.m_stride + column;
}

// Rows whose cache lines are asked for a few at a time.
class Wanted {
 public:
  Wanted() = default;
  template <class T>
  Wanted(const T* from, size_t stride, size_t rows, size_t width)
      : row_(reinterpret_cast<const char*>(from)),
        stride_(stride * sizeof(T)),
        width_(width * sizeof(T)),
        rows_(rows) {}
  // All of them in so many turns.
  void Share(size_t turns) { each_ = (rows_ * ((width_ + kLine - 1) / kLine) + turns - 1) / turns; }
  HWY_INLINE void Ask() {
    for (size_t i = 0; i < each_ && rows_ > 0; ++i) {
      __builtin_prefetch(row_ + at_, 0, 2);
      at_ += kLine;
      if (at_ < width_) continue;
      at_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  static constexpr size_t kLine = 64;
  const char* row_ = nullptr;
  size_t stride_ = 0, width_ = 0, rows_ = 0, at_ = 0, each_ = 0;
};

// The words of 32 · units columns, a step deep, the units so many floats apart: [16 columns][word][column] each.
HWY_INLINE void LayStep(const Bf16* from, size_t stride, size_t units, float* to, size_t unit_floats) {
  blocks::PairWholeRows(from, stride, units, to, unit_floats);
}
HWY_INLINE void LayStep(const float* from, size_t stride, size_t units, float* to, size_t unit_floats) {
  const D d;
  for (size_t k = 0; k < kDepth<float>; ++k, from += stride, to += 16) {
    for (size_t u = 0; u < units; ++u) {
      hn::StoreU(hn::LoadU(d, from + u * kUnit), d, to + u * unit_floats);
      hn::StoreU(hn::LoadU(d, from + u * kUnit + 16), d, to + u * unit_floats + kFloats);
    }
  }
}

// M's columns [first, first + 32 · units) of a chunk: [step][16 columns][word][column] a unit. They come from far away
// and are read across their rows where transposed: those of the next unit are asked for meanwhile.
template <class T>
HWY_INLINE void PackChunk(const Chunk<T>& chunk, size_t first, size_t units, size_t unit_floats, float* to) {
  const size_t stride = chunk.term->m_stride, steps = chunk.depth / kDepth<T>;
  if (chunk.term->transposed) {
    Wanted wanted(Block(chunk, 0, first), stride, units * kUnit, chunk.depth);
    wanted.Share(steps * units);
    for (size_t s = 0; s < steps; ++s) wanted.Ask();
    for (size_t u = 0; u < units; ++u) {
      for (size_t s = 0; s < steps; ++s) {
        wanted.Ask();
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

// 32 sums as a row of C.
HWY_INLINE void StorePair(hn::Vec<D> first, hn::Vec<D> second, Bf16* to) {
  __m512i both;
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(both) : "v"(first.raw), "v"(second.raw));
  _mm512_storeu_si512(to, both);
}
HWY_INLINE void StorePair(hn::Vec<D> first, hn::Vec<D> second, float* to) {
  const D d;
  hn::StoreU(first, d, to);
  hn::StoreU(second, d, to + 16);
}

// A unit of C against a chunk: 32 rows of A times the chunk's columns as PackChunk lays them, which in the last chunk
// what is folded in follows. `offset` is the unit's place in C, `kept` has its sums between chunks.
template <class T>
struct UnitWork {
  const T* a;
  size_t a_stride, steps;
  const float* b;
  float* kept;
  bool first, last;  // of the chunks
  size_t row, offset;
};

#include "models/engine/cpu/product_tiles-inl.h"
#include "models/engine/cpu/product_vectors-inl.h"

// Units of tiles or of vectors say how many floats they need for themselves and for what is folded in, lay the latter
// out for 32 columns, are told which rows of A come next and over how many steps to ask for them, and multiply unit by
// unit; C is whole after End().
template <class Units, class T>
void ProductBy(ProductTerms<T> terms, const FoldedTerm& folded, size_t rows, ColumnRange columns, const T* d, T* c,
               size_t c_stride, float* scratch) {
  const size_t count = columns.count / kUnit, ranks = folded.ranks(), folded_floats = Units::FoldedFloats(ranks);
  Units units(folded, rows, d, c, c_stride, scratch);
  float* const packed = scratch + Units::ScratchFloats(rows, ranks);
  float* const partial = packed + count * (chunk_depth(terms) * sizeof(T) / sizeof(float) * kUnit + folded_floats);
  bool last = false;
  for (Chunk<T> chunk = FirstChunk(terms[0]), then = chunk; !last; chunk = then) {
    const ProductTerm<T>& term = *chunk.term;
    const bool first = &term == &terms[0] && chunk.k == 0;
    last = &term == &terms.back() && chunk.k + chunk.depth == term.depth;
    then = last ? chunk : NextChunk(chunk);
    const size_t steps = chunk.depth / kDepth<T>, unit_floats = steps * 2 * kFloats + (last ? folded_floats : 0);
    PackChunk(chunk, columns.first, count, unit_floats, packed);
    for (size_t u = 0; last && u < count; ++u) {
      float* to = packed + u * unit_floats + steps * 2 * kFloats;
      Units::PackFolded(folded, columns.first + u * kUnit, to);
    }
    for (size_t r = 0; r < rows; r += kUnit) {
      const bool more = r + kUnit < rows;
      const Chunk<T>& following = more ? chunk : then;
      units.Ahead(following.term->a + (more ? r + kUnit : 0) * following.term->a_stride + following.k,
                  following.term->a_stride, following.depth,
                  count * (steps + (last ? folded_floats / (2 * kFloats) : 0)));
      for (size_t u = 0; u < count; ++u) {
        units.Multiply(UnitWork<T>{term.a + r * term.a_stride + chunk.k, term.a_stride, steps, packed + u * unit_floats,
                                   partial + (r / kUnit * count + u) * kSums, first, last, r,
                                   r * c_stride + u * kUnit});
      }
    }
  }
  units.End();
}

template <class T>
void Product(ProductTerms<T> terms, const FoldedTerm& folded, size_t rows, ColumnRange columns, const T* d, T* c,
             size_t c_stride, float* scratch) {
  if constexpr (std::is_same_v<T, Bf16>) {
    if (amx()) return ProductBy<on_tiles::Units>(terms, folded, rows, columns, d, c, c_stride, scratch);
  }
  ProductBy<on_vectors::Units<T>>(terms, folded, rows, columns, d, c, c_stride, scratch);
}
template <class T>
bool Served() {
  return std::is_same_v<T, float> || avx512_bf16;  // a processor that has AMX has this
}
#else
template <class T>
void Product(ProductTerms<T>, const FoldedTerm&, size_t, ColumnRange, const T*, T*, size_t, float*) {}
template <class T>
bool Served() {
  return false;
}
#endif

#define LORA_FOR_TYPE(T, S)                                                                                            \
  void Product##S(ProductTerms<T> terms, const FoldedTerm& folded, size_t rows, ColumnRange columns, const T* d, T* c, \
                  size_t c_stride, float* scratch) {                                                                   \
    Product(terms, folded, rows, columns, d, c, c_stride, scratch);                                                    \
  }                                                                                                                    \
  bool Served##S() { return Served<T>(); }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::kernels {

#define LORA_FOR_TYPE(T, S)                                                                                            \
  HWY_EXPORT(Product##S);                                                                                              \
  HWY_EXPORT(Served##S);                                                                                               \
  template <>                                                                                                          \
  bool weight_product_serves<T>(size_t rows, size_t depth, size_t columns) {                                           \
    return rows % 32 == 0 && depth % 32 == 0 && columns % 32 == 0 && HWY_DYNAMIC_DISPATCH(Served##S)();                \
  }                                                                                                                    \
  template <>                                                                                                          \
  size_t weight_product_scratch_floats(ProductTerms<T> terms, const FoldedTerm& folded, size_t rows, size_t columns) { \
    const size_t deepest = chunk_depth(terms), words = deepest * sizeof(T) / sizeof(float);                            \
    const bool partial = terms.size() > 1 || deepest < terms[0].depth; /* sums are kept between chunks */              \
    const size_t ranks = folded.ranks();                                                                               \
    return 2 * 32 * 32 + rows * ranks + (words + 2 * ranks) * columns + (partial ? rows * columns : 0);                \
  }                                                                                                                    \
  template <>                                                                                                          \
  void weight_product(ProductTerms<T> terms, const FoldedTerm& folded, size_t rows, ColumnRange columns, const T* d,   \
                      T* c, size_t c_stride, float* scratch) {                                                         \
    HWY_DYNAMIC_DISPATCH(Product##S)(terms, folded, rows, columns, d, c, c_stride, scratch);                           \
  }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels
#endif
