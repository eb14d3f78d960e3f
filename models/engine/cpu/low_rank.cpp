#include "models/engine/cpu/low_rank.h"

#include <algorithm>
#include <type_traits>

#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/low_rank.cpp"
#include <hwy/foreach_target.h>
// What follows is compiled once an instruction set.
#include <hwy/highway.h>

#include "models/engine/cpu/low_rank_tiles-inl.h"
#include "models/engine/cpu/product-inl.h"
#include "models/engine/cpu/words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

using FloatProducts = Products<FloatWords>;

// Whether activations of T are multiplied on tiles.
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
  return padded_rank(columns) * (Tiled<T>() ? round_up<size_t>(depth, 32) : depth);
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
void Project(Matrix<const T> x, const float* panel, Matrix<float> y, float* scratch) {
#if LORA_AVX512
  if constexpr (std::is_same_v<T, Bf16>) {
    if (Tiled<T>()) return tile_products::Project(x, panel, y, scratch);
  }
#endif
  for (size_t r = 0; r < x.rows; r += kLowRankRows) {
    const size_t n = HWY_MIN(kLowRankRows, x.rows - r);
    const Matrix<const float> a = FloatWords::AsWords(x.row_range(r, n), scratch);
    for (size_t c = 0; c < y.columns; c += 16) {
      FloatProducts::Product({a.data, a.stride, 1}, {panel + c * x.columns, x.columns, 16, 16},
                             y.row_range(r, n).column_range(c, 16), false);
    }
  }
}

template <class T>
void Add(Matrix<const float> x, const float* panel, Matrix<T> y, [[maybe_unused]] float* scratch) {
#if LORA_AVX512
  if constexpr (std::is_same_v<T, Bf16>) {
    if (Tiled<T>()) return tile_products::Add(x, panel, y, scratch);
  }
#endif
  const size_t panel_row = padded_rank(y.columns), whole = y.columns / 16 * 16;
  FloatProducts::Product({x.data, x.stride, 1}, {panel, x.columns, panel_row, panel_row}, y.column_range(0, whole),
                         true);
  if (whole == y.columns) return;
  // The last columns, fewer than a vector, go through a buffer of one vector.
  const OneFloat one;
  for (size_t r = 0; r < x.rows; ++r) {
    HWY_ALIGN float last[16] = {};
    FloatProducts::Product({x.row(r), x.stride, 1}, {panel + whole, x.columns, 16, panel_row},
                           Matrix<float>{last, 1, 16, 16}, false);
    T* const to = y.row(r) + whole;
    for (size_t c = 0; c < y.columns - whole; ++c) {
      StoreFloats(one, hn::Add(LoadFloats(one, to + c), hn::Set(one, last[c])), to + c);
    }
  }
}

// R rows of out, V vectors of its columns. p has rows of 16.
template <size_t R, size_t V, class T>
HWY_INLINE void GradientTile(const float* p, Matrix<const T> x, float scale, Matrix<float> out) {
  const Lanes d;
  const size_t lanes = hn::Lanes(d);
  Wide sums[R][V];
  for (size_t r = 0; r < R; ++r) {
    for (size_t v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
  }
  for (size_t n = 0; n < x.rows; ++n, p += 16) {
    Wide columns[V];
    for (size_t v = 0; v < V; ++v) columns[v] = LoadFloats(d, x.row(n) + v * lanes);
    for (size_t r = 0; r < R; ++r) {
      const Wide factor = hn::Set(d, p[r]);
      for (size_t v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(factor, columns[v], sums[r][v]);
    }
  }
  for (size_t r = 0; r < R; ++r) {
    for (size_t v = 0; v < V; ++v) hn::StoreU(hn::Mul(sums[r][v], hn::Set(d, scale)), d, out.row(r) + v * lanes);
  }
}

// Up to 16 rows of out, V vectors of its columns.
template <size_t V, class T>
HWY_INLINE void GradientRows(const float* p, Matrix<const T> x, float scale, Matrix<float> out) {
  constexpr size_t kRows = HWY_MAX_BYTES >= 64 ? 8 : 4;  // as many registers as there are
  size_t r = 0;
  for (; r + kRows <= out.rows; r += kRows) GradientTile<kRows, V>(p + r, x, scale, out.row_range(r, kRows));
  for (; r < out.rows; ++r) GradientTile<1, V>(p + r, x, scale, out.row_range(r, 1));
}

template <class T>
void Gradient(const float* panel, Matrix<const T> x, float scale, Matrix<float> out, [[maybe_unused]] float* scratch) {
#if LORA_AVX512
  if constexpr (std::is_same_v<T, Bf16>) {
    if (Tiled<T>()) return tile_products::Gradient(panel, x, scale, out, scratch);
  }
#endif
  const size_t lanes = hn::Lanes(Lanes());
  for (size_t k = 0; k < out.rows; k += 16, panel += x.rows * 16) {
    const Matrix<float> rows = out.row_range(k, HWY_MIN(size_t{16}, out.rows - k));
    size_t c = 0;
    for (; c + 2 * lanes <= x.columns; c += 2 * lanes) {
      GradientRows<2>(panel, x.column_range(c, 2 * lanes), scale, rows.column_range(c, 2 * lanes));
    }
    for (; c + lanes <= x.columns; c += lanes) {
      GradientRows<1>(panel, x.column_range(c, lanes), scale, rows.column_range(c, lanes));
    }
    const OneFloat one;
    for (; c < x.columns; ++c) {
      for (size_t r = 0; r < rows.rows; ++r) {
        float sum = 0;
        for (size_t n = 0; n < x.rows; ++n) sum += panel[n * 16 + r] * hn::GetLane(LoadFloats(one, x.row(n) + c));
        rows.row(r)[c] = scale * sum;
      }
    }
  }
}

template <class T>
LowRankKernels<T> LowRank() {
  return {
      .panel_floats = PanelFloats<T>, .pack = Pack<T>, .project = Project<T>, .add = Add<T>, .gradient = Gradient<T>};
}
template LowRankKernels<float> LowRank();
template LowRankKernels<Bf16> LowRank();

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
