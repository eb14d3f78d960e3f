// The product on processors without AVX-512. LibTorch computes products of bfloat16 there without vectors, 5 to 100
// times slower than those of float32, so A and M are widened to float32 a block at a time. Any sizes.

#if defined(LORA_PRODUCT_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_PRODUCT_LANES_INL_H_
#undef LORA_PRODUCT_LANES_INL_H_
#else
#define LORA_PRODUCT_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>

#include "models/base/numbers.h"
#include "models/engine/cpu/low_rank.h"
#include "models/engine/cpu/matrix.h"
#include "models/engine/cpu/product-inl.h"
#include "models/engine/cpu/simd-inl.h"
#include "models/engine/cpu/weight_product.h"
#include "models/engine/cpu/words-inl.h"

#if !LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::on_lanes {

// A panel of 16 columns of M, so deep, stays in the first-level cache while so many rows of A pass it.
constexpr size_t kPanel = 16, kDepth = 256, kRows = 48;
constexpr size_t kTall = 6;  // rows of A at a time: their sums take 12 of AVX2's 16 registers

inline size_t ScratchFloats(size_t rows, size_t columns) {
  return (rows + kDepth) * round_up(columns, kPanel) + kRows * kDepth;
}

// Computes some columns of C: their sums, as rows in `scratch`, and at the end C.
template <class T>
class Product {
 public:
  Product(const FoldedProduct<T>& product, ColumnRange columns, float* scratch)
      : product_(product),
        columns_(columns),
        width_(round_up(columns.count, kPanel)),
        sums_{scratch, product.c.rows, width_, width_},
        packed_(scratch + product.c.rows * width_),
        rows_(packed_ + kDepth * width_) {}

  void Run() {
    for (const ProductTerm<T>& term : product_.terms) {
      for (size_t k = 0; k < term.depth(); k += kDepth) {
        const size_t depth = HWY_MIN(kDepth, term.depth() - k);
        EachPanel([&](size_t first, size_t count, float* panel) { Pack(term, k, depth, first, count, panel); });
        AddChunk(term.a.column_range(k, depth));
      }
    }
    for (size_t at = 0; const LowRankMatrix& m : product_.folded.matrices) {
      for (size_t k = 0; k < m.depth; k += kDepth) {
        const size_t depth = HWY_MIN(kDepth, m.depth - k);
        EachPanel([&](size_t first, size_t, float* panel) { Pack(m, k, depth, first, panel); });
        AddChunk(product_.folded.low.column_range(at + k, depth));
      }
      at += padded_rank(m.depth);
    }
    Store();
  }

 private:
  template <class F>
  void EachPanel(F pack) {
    for (size_t i = 0; i < columns_.count; i += kPanel) {
      pack(columns_.first + i, HWY_MIN(kPanel, columns_.count - i), packed_ + i * kDepth);
    }
  }

  // M[k … k + depth)[first … first + count) as rows of 16, with zeros behind the last column.
  static void Pack(const ProductTerm<T>& term, size_t k, size_t depth, size_t first, size_t count, float* panel) {
    if (term.transposed) {
      FloatWords::Transposed(term.m.row_range(first, count).column_range(k, depth), panel, kPanel);
    } else {
      FloatWords::Down(term.m.row_range(k, depth).column_range(first, count), panel, kPanel);
    }
  }
  static void Pack(const LowRankMatrix& p, size_t k, size_t depth, size_t first, float* panel) {
    for (size_t i = 0; i < depth; ++i) {
      for (size_t c = 0; c < kPanel; ++c) {
        const bool inside = first + c < p.columns;
        panel[i * kPanel + c] = inside ? p.scale * p.m[(k + i) * p.row_stride + (first + c) * p.column_stride] : 0.0f;
      }
    }
  }

  // sums += a · the packed panels, or at first sums = that.
  template <class A>
  void AddChunk(Matrix<const A> a) {
    for (size_t r = 0; r < a.rows; r += kRows) {
      const size_t n = HWY_MIN(kRows, a.rows - r);
      const Matrix<const float> wide = FloatWords::AsWords(a.row_range(r, n), rows_);
      for (size_t i = 0; i < width_; i += kPanel) {
        Products<FloatWords>::Product<kTall>(LeftSide{wide.data, wide.stride, 1},
                                             Matrix<const float>{packed_ + i * kDepth, a.columns, kPanel, kPanel},
                                             sums_.row_range(r, n).column_range(i, kPanel), add_);
      }
    }
    add_ = true;
  }

  void Store() {
    const auto& [terms, folded, added, c] = product_;
    for (size_t r = 0; r < c.rows; ++r) {
      const float* const sums = sums_.row(r);
      const T* const base = added.data ? added.row(r) + columns_.first : nullptr;
      T* const to = c.row(r) + columns_.first;
      ForEach(columns_.count, [&](auto d, size_t i) HWY_ATTR {
        const auto sum = hn::LoadU(d, sums + i);
        StoreFloats(d, base ? hn::Add(sum, LoadFloats(d, base + i)) : sum, to + i);
      });
    }
  }

  const FoldedProduct<T>& product_;
  ColumnRange columns_;
  size_t width_;  // columns, padded to whole panels
  Matrix<float> sums_;
  float *packed_, *rows_;
  bool add_ = false;
};

}  // namespace lora::kernels::HWY_NAMESPACE::on_lanes
HWY_AFTER_NAMESPACE();
#endif  // !LORA_AVX512

#endif  // LORA_PRODUCT_LANES_INL_H_
