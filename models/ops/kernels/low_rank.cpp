#include "models/ops/kernels/low_rank.h"

#include <algorithm>

#include "models/ops/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/ops/kernels/low_rank.cpp"
#include <hwy/foreach_target.h>
// The includes below are made once an instruction set.
#include <hwy/highway.h>

#include "models/ops/kernels/words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

using float_words::Products;

template <class T>
void Project(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, float* y,
             size_t y_stride, float* scratch) {
  constexpr size_t kRows = 32;
  for (size_t r = 0; r < rows; r += kRows) {
    const size_t n = HWY_MIN(kRows, rows - r);
    size_t row = depth;
    const float* const a = float_words::Words::AsWords(x + r * x_stride, x_stride, n, depth, scratch, row);
    Products::Product(n, columns, depth, a, row, 1, panel, columns, y + r * y_stride, y_stride, false);
  }
}

template <class T>
void Add(const float* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,
         size_t y_stride) {
  const size_t panel_row = padded_rank(columns), whole = columns / 16 * 16;
  Products::Product(rows, whole, depth, x, x_stride, 1, panel, panel_row, y, y_stride, true);
  if (whole == columns) return;
  // The last columns, fewer than a vector: through a vector of their own.
  const OneFloat one;
  for (size_t r = 0; r < rows; ++r) {
    HWY_ALIGN float last[16];
    Products::Product(1, 16, depth, x + r * x_stride, x_stride, 1, panel + whole, panel_row, last, 16, false);
    T* const to = y + r * y_stride + whole;
    for (size_t c = 0; c < columns - whole; ++c) {
      StoreFloats(one, hn::Add(LoadFloats(one, to + c), hn::Set(one, last[c])), to + c);
    }
  }
}

// R rows of out over V vectors of columns.
template <size_t R, size_t V, class T>
HWY_INLINE void GradientTile(const float* p, size_t p_stride, const T* x, size_t x_stride, size_t rows, float scale,
                             float* out, size_t out_stride) {
  const Lanes d;
  const size_t lanes = hn::Lanes(d);
  Wide sums[R][V];
  for (size_t r = 0; r < R; ++r) {
    for (size_t v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
  }
  for (size_t n = 0; n < rows; ++n, x += x_stride, p += p_stride) {
    Wide columns[V];
    for (size_t v = 0; v < V; ++v) columns[v] = LoadFloats(d, x + v * lanes);
    for (size_t r = 0; r < R; ++r) {
      const Wide factor = hn::Set(d, p[r]);
      for (size_t v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(factor, columns[v], sums[r][v]);
    }
  }
  for (size_t r = 0; r < R; ++r) {
    for (size_t v = 0; v < V; ++v) {
      hn::StoreU(hn::Mul(sums[r][v], hn::Set(d, scale)), d, out + r * out_stride + v * lanes);
    }
  }
}

template <size_t V, class T>
HWY_INLINE void GradientRows(const float* p, size_t p_stride, size_t rank, const T* x, size_t x_stride, size_t rows,
                             float scale, float* out, size_t out_stride) {
  constexpr size_t kRows = HWY_MAX_BYTES >= 64 ? 8 : 4;  // as many registers as there are
  size_t r = 0;
  for (; r + kRows <= rank; r += kRows) {
    GradientTile<kRows, V>(p + r, p_stride, x, x_stride, rows, scale, out + r * out_stride, out_stride);
  }
  for (; r < rank; ++r) {
    GradientTile<1, V>(p + r, p_stride, x, x_stride, rows, scale, out + r * out_stride, out_stride);
  }
}

template <class T>
void Gradient(const float* p, size_t p_stride, size_t rank, const T* x, size_t x_stride, size_t rows, size_t columns,
              float scale, float* out, size_t out_stride) {
  const size_t lanes = hn::Lanes(Lanes());
  size_t c = 0;
  for (; c + 2 * lanes <= columns; c += 2 * lanes) {
    GradientRows<2>(p, p_stride, rank, x + c, x_stride, rows, scale, out + c, out_stride);
  }
  for (; c + lanes <= columns; c += lanes) {
    GradientRows<1>(p, p_stride, rank, x + c, x_stride, rows, scale, out + c, out_stride);
  }
  const OneFloat one;
  for (; c < columns; ++c) {
    for (size_t r = 0; r < rank; ++r) {
      float sum = 0;
      for (size_t n = 0; n < rows; ++n) {
        sum += p[n * p_stride + r] * hn::GetLane(LoadFloats(one, x + n * x_stride + c));
      }
      out[r * out_stride + c] = scale * sum;
    }
  }
}

#define LORA_FOR_TYPE(T, S)                                                                                         \
  void Project##S(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns,       \
                  float* y, size_t y_stride, float* scratch) {                                                      \
    Project(x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);                                        \
  }                                                                                                                 \
  void Add##S(const float* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y, \
              size_t y_stride) {                                                                                    \
    Add(x, x_stride, rows, depth, panel, columns, y, y_stride);                                                     \
  }                                                                                                                 \
  void Gradient##S(const float* p, size_t p_stride, size_t rank, const T* x, size_t x_stride, size_t rows,          \
                   size_t columns, float scale, float* out, size_t out_stride) {                                    \
    Gradient(p, p_stride, rank, x, x_stride, rows, columns, scale, out, out_stride);                                \
  }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::kernels {

#define LORA_FOR_TYPE(T, S)                                                                                         \
  HWY_EXPORT(Project##S);                                                                                           \
  HWY_EXPORT(Add##S);                                                                                               \
  HWY_EXPORT(Gradient##S);                                                                                          \
  template <>                                                                                                       \
  void low_rank_project(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, \
                        float* y, size_t y_stride, float* scratch) {                                                \
    HWY_DYNAMIC_DISPATCH(Project##S)(x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);               \
  }                                                                                                                 \
  template <>                                                                                                       \
  void low_rank_add(const float* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, \
                    T* y, size_t y_stride) {                                                                        \
    HWY_DYNAMIC_DISPATCH(Add##S)(x, x_stride, rows, depth, panel, columns, y, y_stride);                            \
  }                                                                                                                 \
  template <>                                                                                                       \
  void low_rank_gradient(const float* p, size_t p_stride, size_t rank, const T* x, size_t x_stride, size_t rows,    \
                         size_t columns, float scale, float* out, size_t out_stride) {                              \
    HWY_DYNAMIC_DISPATCH(Gradient##S)(p, p_stride, rank, x, x_stride, rows, columns, scale, out, out_stride);       \
  }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels
#endif
