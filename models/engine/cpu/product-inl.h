// Products of matrices of words (words-inl.h) in register tiles: C = A · B or C += A · B.

#if defined(LORA_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_PRODUCT_INL_H_
#undef LORA_PRODUCT_INL_H_
#else
#define LORA_PRODUCT_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>

#include "models/engine/cpu/matrix.h"
#include "models/engine/cpu/words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

// A: word (r, k) is at[r · row + k · step]. Its rows are C's, its depth is B's rows.
struct LeftSide {
  const float* at;
  size_t row, step;

  LeftSide from(size_t r) const { return {at + r * row, row, step}; }
};

template <class Words>
struct Products {
  // R rows and V vectors of columns of C, which is float32 or bfloat16.
  template <size_t R, size_t V, class T>
  static HWY_INLINE void Tile(LeftSide a, Matrix<const float> b, T* c, size_t c_row, bool add) {
    const Lanes d;
    const size_t lanes = hn::Lanes(d);
    Wide sums[R][V];
    for (size_t r = 0; r < R; ++r) {
      for (size_t v = 0; v < V; ++v) sums[r][v] = add ? LoadFloats(d, c + r * c_row + v * lanes) : hn::Zero(d);
    }
    for (size_t k = 0; k < b.rows; ++k) {
      Wide columns[V];
      for (size_t v = 0; v < V; ++v) columns[v] = hn::LoadU(d, b.row(k) + v * lanes);
      for (size_t r = 0; r < R; ++r) {
        const Wide word = hn::Set(d, a.at[r * a.row + k * a.step]);
        for (size_t v = 0; v < V; ++v) sums[r][v] = Words::Dot(word, columns[v], sums[r][v]);
      }
    }
    for (size_t r = 0; r < R; ++r) {
      for (size_t v = 0; v < V; ++v) StoreFloats(d, sums[r][v], c + r * c_row + v * lanes);
    }
  }

  template <size_t R, size_t V, class T>
  static HWY_INLINE void Rows(LeftSide a, Matrix<const float> b, Matrix<T> c, bool add) {
    size_t r = 0;
    for (; r + R <= c.rows; r += R) Tile<R, V>(a.from(r), b, c.row(r), c.stride, add);
    for (; r < c.rows; ++r) Tile<1, V>(a.from(r), b, c.row(r), c.stride, add);
  }

  // The columns of c are whole vectors; b has at least as many. R rows at a time. (Not inlined: registers then suffice
  // for the loops.)
  template <size_t R = 4, class T>
  static HWY_NOINLINE void Product(LeftSide a, Matrix<const float> b, Matrix<T> c, bool add) {
    const size_t lanes = hn::Lanes(Lanes());
    constexpr size_t kWide = HWY_MAX_BYTES >= 64 ? 4 : 2;  // as many registers as there are
    size_t n = 0;
    for (; n + kWide * lanes <= c.columns; n += kWide * lanes) {
      Rows<R, kWide>(a, b.column_range(n, kWide * lanes), c.column_range(n, kWide * lanes), add);
    }
    for (; n < c.columns; n += lanes) Rows<8, 1>(a, b.column_range(n, lanes), c.column_range(n, lanes), add);
  }
};

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LORA_PRODUCT_INL_H_
