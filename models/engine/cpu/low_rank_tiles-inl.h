// The thin products on AMX, for bfloat16 activations (see low_rank.h, tiles-inl.h).
//
// The adapter's float32 side is split into two bfloat16 (high, low). Panels are B tiles, contiguous:
//   project  [block of 16 columns][block of 32 of the depth][high, low]
//   add      [block of 16 of the depth][block of 16 columns][high, low]: SplitBlock
// and of gradient A tiles: [block of 16 of the rank][block of 32 rows][high, low].

#if defined(LORA_LOW_RANK_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_LOW_RANK_TILES_INL_H_
#undef LORA_LOW_RANK_TILES_INL_H_
#else
#define LORA_LOW_RANK_TILES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "models/base/numbers.h"
#include "models/engine/cpu/low_rank.h"
#include "models/engine/cpu/matrix.h"
#include "models/engine/cpu/simd-inl.h"
#include "models/engine/cpu/tiles-inl.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::tile_products {

using namespace tiles;

// The tiles (high, low) of P[k … k + 31][c … c + 15], in pairs of rows.
HWY_INLINE void PackTiles(const LowRankMatrix& p, size_t k, size_t c, float* to) {
  const W w;
  for (size_t i = 0; i < kRows; ++i) {
    const Split a = SplitFloats(RowOf(p, k + 2 * i, c)), b = SplitFloats(RowOf(p, k + 2 * i + 1, c));
    hn::StoreU(Pair(a.high, b.high), w, reinterpret_cast<uint32_t*>(to) + i * 16);
    hn::StoreU(Pair(a.low, b.low), w, reinterpret_cast<uint32_t*>(to) + kFloats + i * 16);
  }
}

// The same where P's columns are contiguous in memory (row_stride 1): 32 numbers of a column become the 16 words of a
// column of a tile.
inline void PackTransposed(const LowRankMatrix& p, size_t k, size_t c, float* to) {
  const D d;
  const W w;
  alignas(64) uint32_t words[2][16][16] = {};  // [high, low][column][pair]
  const auto scale = hn::Set(d, p.scale);
  for (size_t i = 0; i < HWY_MIN(size_t{16}, p.columns - c); ++i) {
    const float* const from = p.m + (c + i) * p.column_stride + k;
    const Split a = SplitFloats(hn::Mul(hn::LoadU(d, from), scale));
    const Split b = SplitFloats(hn::Mul(hn::LoadU(d, from + 16), scale));
    const auto even_pairs = [&](Word x, Word y) HWY_ATTR {
      return hn::Or(hn::ShiftRight<16>(hn::ConcatEven(w, y, x)), hn::ConcatOdd(w, y, x));
    };
    hn::Store(even_pairs(a.high, b.high), w, words[0][i]);
    hn::Store(even_pairs(a.low, b.low), w, words[1][i]);
  }
  TransposeBlock(words[0], 16, to);
  TransposeBlock(words[1], 16, to + kFloats);
}

inline void PackProject(const LowRankMatrix& p, float* panel) {
  for (size_t c = 0; c < p.columns; c += 16) {
    for (size_t k = 0; k < p.depth; k += kDepth, panel += 2 * kFloats) {
      if (p.row_stride == 1 && k + kDepth <= p.depth) {
        PackTransposed(p, k, c, panel);
      } else {
        PackTiles(p, k, c, panel);
      }
    }
  }
}

inline void PackAdd(const LowRankMatrix& p, float* panel) {
  for (size_t k = 0; k < p.depth; k += 16) {
    for (size_t c = 0; c < p.columns; c += 16, panel += 2 * kFloats) SplitBlock(p, k, c, panel, panel + kFloats);
  }
}

inline void PackGradient(const LowRankMatrix& p, float* panel) {
  alignas(64) float pairs[2 * kFloats];  // [high, low][pair of rows][column]
  for (size_t c = 0; c < p.columns; c += 16) {
    for (size_t k = 0; k < p.depth; k += kDepth, panel += 2 * kFloats) {
      PackTiles(p, k, c, pairs);
      TransposeBlock(pairs, 16, panel);
      TransposeBlock(pairs + kFloats, 16, panel + kFloats);
    }
  }
}

// 16·kR rows and 16·kC columns of y: x's tiles are loaded once for all of the columns. Prefetches as many rows from
// `ahead`, unless it is null.
template <size_t kR, size_t kC>
HWY_INLINE void ProjectTiles(Matrix<const Bf16> x, const Bf16* ahead, const float* panel, Matrix<float> y) {
  const size_t steps = x.columns / kDepth, x_bytes = x.stride * sizeof(Bf16);
  const auto for_each_sum = [](auto f) HWY_ATTR {
    f(std::integral_constant<int, 0>());
    if constexpr (kR * kC > 1) f(std::integral_constant<int, 1>());
    if constexpr (kR * kC > 2) f(std::integral_constant<int, 2>());
    if constexpr (kR * kC > 3) f(std::integral_constant<int, 3>());
    if constexpr (kR * kC > 4) f(std::integral_constant<int, 4>());
    if constexpr (kR * kC > 5) f(std::integral_constant<int, 5>());
  };
  for_each_sum([](auto sum) HWY_ATTR { Zero<sum()>(); });
  for (size_t k = 0; k < steps; ++k) {
    for (size_t i = 0; ahead && i < kR * kRows; ++i) __builtin_prefetch(ahead + i * x.stride + k * kDepth);
    for_each_sum([&](auto sum) HWY_ATTR {
      constexpr size_t r = sum() / kC, c = sum() % kC;
      if constexpr (c == 0) Load<6>(x.row(r * kRows) + k * kDepth, x_bytes);
      const float* const tile = panel + (c * steps + k) * 2 * kFloats;
      Load<7>(tile, 64);
      Dot<sum(), 6, 7>();
      Load<7>(tile + kFloats, 64);
      Dot<sum(), 6, 7>();
    });
  }
  for_each_sum([&](auto sum)
                   HWY_ATTR { Store<sum()>(y.row(sum() / kC * kRows) + sum() % kC * 16, y.stride * sizeof(float)); });
}

inline void Project(Matrix<const Bf16> x, const float* panel, Matrix<float> y, float* scratch) {
  const Scope scope;
  const size_t steps = ceil_div(x.columns, kDepth), width = steps * kDepth;
  for (size_t r = 0; r < x.rows; r += 32) {
    const size_t n = HWY_MIN(size_t{32}, x.rows - r);
    const bool copies = n < 32 || x.columns < width;
    Matrix<const Bf16> from = x.row_range(r, n);
    Matrix<float> to = y.row_range(r, n);
    if (copies) {
      auto* const copy = reinterpret_cast<Bf16*>(scratch);
      std::fill_n(copy, 32 * width, Bf16{0});
      for (size_t i = 0; i < n; ++i) std::copy_n(x.row(r + i), x.columns, copy + i * width);
      from = {copy, 32, width, width};
      to = {scratch + 16 * width, 32, y.columns, y.columns};
    }
    const Bf16* ahead = !copies && r + 64 <= x.rows ? x.row(r + 32) : nullptr;
    size_t c = 0;
    const auto panel_of = [&](size_t column) { return panel + column / 16 * steps * 2 * kFloats; };
    const auto columns_of = [&](size_t column) { return to.column_range(column, y.columns - column); };
    for (; c + 48 <= y.columns; c += 48, ahead = nullptr) {
      ProjectTiles<2, 3>(from, ahead, panel_of(c), columns_of(c));
    }
    if (y.columns - c == 32) ProjectTiles<2, 2>(from, ahead, panel_of(c), columns_of(c));
    if (y.columns - c == 16) ProjectTiles<2, 1>(from, ahead, panel_of(c), columns_of(c));
    for (size_t i = 0; copies && i < n; ++i) std::copy_n(to.row(i), y.columns, y.row(r + i));
  }
}

inline void Add(Matrix<const float> x, const float* panel, Matrix<Bf16> y, float* scratch) {
  const Scope scope;
  const D d;
  const W w;
  const hn::Rebind<uint16_t, W> half;
  const size_t blocks = x.columns / 16, column_blocks = ceil_div<size_t>(y.columns, 16);
  float* const sums = scratch + blocks * 2 * kFloats;  // (32, 32)
  for (size_t r = 0; r < x.rows; r += 32) {
    const size_t n = HWY_MIN(size_t{32}, x.rows - r);
    for (size_t b = 0; b < blocks; ++b) {
      for (size_t i = 0; i < 32; ++i) {
        auto* const to = reinterpret_cast<uint16_t*>(scratch + b * 2 * kFloats + i * 16);
        const Split s = SplitFloats(i < n ? hn::LoadU(d, x.row(r + i) + b * 16) : hn::Zero(d));
        hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.high)), half, to);
        hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.low)), half, to + 16);
      }
    }
    for (size_t c = 0; c < column_blocks; c += 2) {
      const bool two = c + 1 < column_blocks;
      Zero<0>();
      Zero<1>();
      Zero<2>();
      Zero<3>();
      for (size_t b = 0; b < blocks; ++b) {
        const float* const tile = panel + (b * column_blocks + c) * 2 * kFloats;
        Load<4>(scratch + b * 2 * kFloats, 64);
        Load<5>(scratch + b * 2 * kFloats + kFloats, 64);
        const auto column = [&](const float* from, auto first) HWY_ATTR {
          constexpr int sum = first();
          Load<6>(from, 64);
          Dot<sum, 4, 6>();
          Dot<sum + 1, 5, 6>();
          Load<7>(from + kFloats, 64);
          Dot<sum, 4, 7>();
          Dot<sum + 1, 5, 7>();
        };
        column(tile, std::integral_constant<int, 0>());
        if (two) column(tile + 2 * kFloats, std::integral_constant<int, 2>());
      }
      Store<0>(sums, 128);
      Store<1>(sums + 16 * 32, 128);
      Store<2>(sums + 16, 128);
      Store<3>(sums + 16 * 32 + 16, 128);
      const size_t width = HWY_MIN(size_t{32}, y.columns - c * 16);
      for (size_t i = 0; i < n; ++i) {
        Bf16* const to = y.row(r + i) + c * 16;
        ForEach(width, [&](auto tag, size_t j) HWY_ATTR {
          StoreFloats(tag, hn::Add(LoadFloats(tag, to + j), LoadFloats(tag, sums + i * 32 + j)), to + j);
        });
      }
    }
  }
}

// scratch: 32 rows of x as B tiles, then the sums of all tiles of out.
inline void Gradient(const float* panel, Matrix<const Bf16> x, float scale, Matrix<float> out, float* scratch) {
  const Scope scope;
  const size_t columns = x.columns, steps = ceil_div(x.rows, kDepth), blocks = ceil_div<size_t>(columns, 16);
  const size_t ranks = ceil_div<size_t>(out.rows, 16);
  float* const pairs = scratch;
  float* const sums = pairs + blocks * kFloats;  // [block of 16 of the rank][block of 16 columns]
  std::fill_n(sums, ranks * blocks * kFloats, 0.0f);
  for (size_t s = 0; s < steps; ++s) {
    const size_t n = HWY_MIN(kDepth, x.rows - s * kDepth);
    const Matrix<const Bf16> from = x.row_range(s * kDepth, n);
    const size_t whole = n == kDepth ? columns / 32 * 32 : 0;
    PairWholeRows(from.data, from.stride, whole / 32, pairs, 2 * kFloats);
    for (size_t c = whole; c < columns; c += 16) {
      Bf16 copy[kDepth * 16] = {};
      for (size_t i = 0; i < n; ++i) std::copy_n(from.row(i) + c, HWY_MIN(size_t{16}, columns - c), copy + i * 16);
      PairRows(copy, 16, n, pairs + c / 16 * kFloats);
    }
    for (size_t k = 0; k < ranks; ++k) {
      const float* const factors = panel + (k * steps + s) * 2 * kFloats;
      Load<4>(factors, 64);
      Load<5>(factors + kFloats, 64);
      const auto column = [&](size_t b, auto sum) HWY_ATTR {
        if (b >= blocks) return;
        float* const kept = sums + (k * blocks + b) * kFloats;
        Load<sum()>(kept, 64);
        Load<6>(pairs + b * kFloats, 64);
        Dot<sum(), 4, 6>();
        Dot<sum(), 5, 6>();
        Store<sum()>(kept, 64);
      };
      for (size_t b = 0; b < blocks; b += 4) {
        column(b, std::integral_constant<int, 0>());
        column(b + 1, std::integral_constant<int, 1>());
        column(b + 2, std::integral_constant<int, 2>());
        column(b + 3, std::integral_constant<int, 3>());
      }
    }
  }
  for (size_t k = 0; k < out.rows; ++k) {
    for (size_t b = 0; b < blocks; ++b) {
      const float* const kept = sums + (k / 16 * blocks + b) * kFloats + k % 16 * 16;
      ForEach(HWY_MIN(size_t{16}, columns - b * 16), [&](auto tag, size_t j) HWY_ATTR {
        StoreFloats(tag, hn::Mul(LoadFloats(tag, kept + j), hn::Set(tag, scale)), out.row(k) + b * 16 + j);
      });
    }
  }
}

}  // namespace lora::kernels::HWY_NAMESPACE::tile_products
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_LOW_RANK_TILES_INL_H_
