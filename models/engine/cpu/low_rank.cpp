#include "models/engine/cpu/low_rank.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/low_rank.cpp"
#include <hwy/foreach_target.h>
// The includes below are made once an instruction set.
#include <hwy/highway.h>

#include "models/engine/cpu/tiles-inl.h"
#include "models/engine/cpu/words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

using float_words::Products;

#if LORA_AVX512
#include "models/engine/cpu/low_rank_tiles-inl.h"
#endif

// Whether activations of T meet tiles.
template <class T>
bool Tiled() {
#if LORA_AVX512
  return std::is_same_v<T, Bf16> && amx();
#else
  return false;
#endif
}

// Without tiles a panel is float32: of project and gradient [block of 16 columns][depth][16], of add (depth to 16,
// columns to 16).
template <class T>
size_t PanelFloats(LowRankUse use, size_t depth, size_t columns) {
  if (use == LowRankUse::kAdd) return padded_rank(depth) * padded_rank(columns) * (Tiled<T>() ? 2 : 1);
  return padded_rank(columns) * (Tiled<T>() ? (depth + 31) / 32 * 32 : depth);
}

template <class T>
void Pack(LowRankUse use, const LowRankMatrix& p, float* panel) {
#if LORA_AVX512
  if (Tiled<T>()) {
    if (use == LowRankUse::kProject) return tile_products::PackProject(p, panel);
    if (use == LowRankUse::kAdd) return tile_products::PackAdd(p, panel);
    return tile_products::PackGradient(p, panel);
  }
#endif
  const bool add = use == LowRankUse::kAdd;
  const size_t width = add ? padded_rank(p.columns) : 16, depth = add ? padded_rank(p.depth) : p.depth;
#if LORA_AVX512
  if (depth % 16 == 0) {
    for (size_t c = 0; c < p.columns; c += width, panel += depth * width) {
      for (size_t k = 0; k < depth; k += 16) {
        for (size_t i = 0; i < width; i += 16) blocks::LayBlock(p, k, c + i, panel + k * width + i, width);
      }
    }
    return;
  }
#endif
  for (size_t c = 0; c < p.columns; c += width, panel += depth * width) {
    const size_t n = HWY_MIN(width, p.columns - c);
    const float* const from = p.m + c * p.column_stride;
    if (n < width || depth > p.depth) std::fill_n(panel, depth * width, 0.0f);
    // In the order in which the matrix lies in memory.
    if (p.row_stride == 1) {
      for (size_t i = 0; i < n; ++i) {
        for (size_t k = 0; k < p.depth; ++k) panel[k * width + i] = p.scale * from[i * p.column_stride + k];
      }
    } else {
      for (size_t k = 0; k < p.depth; ++k) {
        for (size_t i = 0; i < n; ++i) panel[k * width + i] = p.scale * from[k * p.row_stride + i * p.column_stride];
      }
    }
  }
}

template <class T>
void Project(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, float* y,
             size_t y_stride, float* scratch) {
#if LORA_AVX512
  if constexpr (std::is_same_v<T, Bf16>) {
    if (Tiled<T>()) return tile_products::Project(x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);
  }
#endif
  for (size_t r = 0; r < rows; r += kLowRankRows) {
    const size_t n = HWY_MIN(kLowRankRows, rows - r);
    size_t row = depth;
    const float* const a = float_words::Words::AsWords(x + r * x_stride, x_stride, n, depth, scratch, row);
    for (size_t c = 0; c < columns; c += 16) {
      Products::Product(n, 16, depth, a, row, 1, panel + c * depth, 16, y + r * y_stride + c, y_stride, false);
    }
  }
}

template <class T>
void Add(const float* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,
         size_t y_stride, [[maybe_unused]] float* scratch) {
#if LORA_AVX512
  if constexpr (std::is_same_v<T, Bf16>) {
    if (Tiled<T>()) return tile_products::Add(x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);
  }
#endif
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

// Up to 16 rows of out.
template <size_t V, class T>
HWY_INLINE void GradientRows(const float* p, size_t rank, const T* x, size_t x_stride, size_t rows, float scale,
                             float* out, size_t out_stride) {
  constexpr size_t kRows = HWY_MAX_BYTES >= 64 ? 8 : 4;  // as many registers as there are
  size_t r = 0;
  for (; r + kRows <= rank; r += kRows) {
    GradientTile<kRows, V>(p + r, 16, x, x_stride, rows, scale, out + r * out_stride, out_stride);
  }
  for (; r < rank; ++r) GradientTile<1, V>(p + r, 16, x, x_stride, rows, scale, out + r * out_stride, out_stride);
}

template <class T>
void Gradient(const float* panel, size_t rank, const T* x, size_t x_stride, size_t rows, size_t columns, float scale,
              float* out, size_t out_stride, [[maybe_unused]] float* scratch) {
#if LORA_AVX512
  if constexpr (std::is_same_v<T, Bf16>) {
    if (Tiled<T>()) {
      return tile_products::Gradient(panel, rank, x, x_stride, rows, columns, scale, out, out_stride, scratch);
    }
  }
#endif
  const size_t lanes = hn::Lanes(Lanes());
  for (size_t k = 0; k < rank; k += 16, panel += rows * 16, out += 16 * out_stride) {
    const size_t real = HWY_MIN(size_t{16}, rank - k);
    size_t c = 0;
    for (; c + 2 * lanes <= columns; c += 2 * lanes) {
      GradientRows<2>(panel, real, x + c, x_stride, rows, scale, out + c, out_stride);
    }
    for (; c + lanes <= columns; c += lanes) {
      GradientRows<1>(panel, real, x + c, x_stride, rows, scale, out + c, out_stride);
    }
    const OneFloat one;
    for (; c < columns; ++c) {
      for (size_t r = 0; r < real; ++r) {
        float sum = 0;
        for (size_t n = 0; n < rows; ++n) sum += panel[n * 16 + r] * hn::GetLane(LoadFloats(one, x + n * x_stride + c));
        out[r * out_stride + c] = scale * sum;
      }
    }
  }
}

#define LORA_FOR_TYPE(T, S)                                                                                           \
  size_t PanelFloats##S(LowRankUse use, size_t depth, size_t columns) { return PanelFloats<T>(use, depth, columns); } \
  void Pack##S(LowRankUse use, const LowRankMatrix& p, float* panel) { Pack<T>(use, p, panel); }                      \
  void Project##S(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns,         \
                  float* y, size_t y_stride, float* scratch) {                                                        \
    Project(x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);                                          \
  }                                                                                                                   \
  void Add##S(const float* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,   \
              size_t y_stride, float* scratch) {                                                                      \
    Add(x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);                                              \
  }                                                                                                                   \
  void Gradient##S(const float* panel, size_t rank, const T* x, size_t x_stride, size_t rows, size_t columns,         \
                   float scale, float* out, size_t out_stride, float* scratch) {                                      \
    Gradient(panel, rank, x, x_stride, rows, columns, scale, out, out_stride, scratch);                               \
  }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::kernels {

size_t low_rank_scratch_floats(size_t depth, size_t columns) {
  const size_t padded_depth = (depth + 31) / 32 * 32;
  const size_t project = 16 * padded_depth + 32 * padded_rank(columns) + kLowRankRows * depth;
  const size_t add = 32 * padded_depth + 32 * 32;
  return std::max(project, add);
}

size_t low_rank_gradient_scratch_floats(size_t rank, size_t columns) {
  return (16 + padded_rank(rank)) * padded_rank(columns);
}

#define LORA_FOR_TYPE(T, S)                                                                                         \
  HWY_EXPORT(PanelFloats##S);                                                                                       \
  HWY_EXPORT(Pack##S);                                                                                              \
  HWY_EXPORT(Project##S);                                                                                           \
  HWY_EXPORT(Add##S);                                                                                               \
  HWY_EXPORT(Gradient##S);                                                                                          \
  template <>                                                                                                       \
  size_t low_rank_panel_floats<T>(LowRankUse use, size_t depth, size_t columns) {                                   \
    return HWY_DYNAMIC_DISPATCH(PanelFloats##S)(use, depth, columns);                                               \
  }                                                                                                                 \
  template <>                                                                                                       \
  void low_rank_pack<T>(LowRankUse use, const LowRankMatrix& p, float* panel) {                                     \
    HWY_DYNAMIC_DISPATCH(Pack##S)(use, p, panel);                                                                   \
  }                                                                                                                 \
  template <>                                                                                                       \
  void low_rank_project(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, \
                        float* y, size_t y_stride, float* scratch) {                                                \
    HWY_DYNAMIC_DISPATCH(Project##S)(x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);               \
  }                                                                                                                 \
  template <>                                                                                                       \
  void low_rank_add(const float* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, \
                    T* y, size_t y_stride, float* scratch) {                                                        \
    HWY_DYNAMIC_DISPATCH(Add##S)(x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);                   \
  }                                                                                                                 \
  template <>                                                                                                       \
  void low_rank_gradient(const float* panel, size_t rank, const T* x, size_t x_stride, size_t rows, size_t columns, \
                         float scale, float* out, size_t out_stride, float* scratch) {                              \
    HWY_DYNAMIC_DISPATCH(Gradient##S)(panel, rank, x, x_stride, rows, columns, scale, out, out_stride, scratch);    \
  }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels
#endif
