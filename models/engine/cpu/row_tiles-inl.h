// Products of few rows on AMX (see row_product.h, tiles-inl.h): rows of a weight are A tiles, x is laid out as B tiles of
// 16 rows. Here those of bfloat16, whose A tiles are loaded where they lie: a float32 of x is the sum of two bfloat16,
// high and low, whose products have sums of their own. row_code_tiles-inl.h has those of int8 and NF4.

#if defined(LORA_ROW_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_ROW_TILES_INL_H_
#undef LORA_ROW_TILES_INL_H_
#else
#define LORA_ROW_TILES_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "models/engine/cpu/row_product.h"
#include "models/engine/cpu/tiles-inl.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::row_tiles {

using namespace tiles;

constexpr size_t kOutputs = 2 * kRows;       // of a step
constexpr size_t kStepFloats = 2 * kFloats;  // of x's layout: the high and the low tile of 32 columns

// x (rows, columns) -> [16 rows][32 columns][high, low], with zeros for rows that are missing.
inline void LayTiles(Matrix<const float> x, float* to) {
  const D d;
  alignas(64) uint32_t high[kFloats], low[kFloats];
  for (size_t first = 0; first < x.rows; first += kRows) {
    for (size_t k = 0; k < x.columns; k += kDepth, to += kStepFloats) {
      for (size_t r = 0; r < kRows; ++r) {
        hn::Vec<D> even = hn::Zero(d), odd = hn::Zero(d);
        if (first + r < x.rows) hn::LoadInterleaved2(d, x.row(first + r) + k, even, odd);
        const Split a = SplitFloats(even), b = SplitFloats(odd);
        hn::StoreU(Pair(a.high, b.high), W(), high + r * 16);
        hn::StoreU(Pair(a.low, b.low), W(), low + r * 16);
      }
      TransposeBlock(high, 16, to);
      TransposeBlock(low, 16, to + kFloats);
    }
  }
}

// What Unit takes as Sums has group_floats(), the floats of x's layout for 16 rows, and Run(): sums (32 outputs, 16 rows)
// from `output` on. With kAhead it fetches the lines of the 32 outputs behind these.
struct Bf16Sums {
  static size_t group_floats(size_t columns) { return columns / kDepth * kStepFloats; }

  template <bool kAhead>
  static HWY_INLINE void Run(const RowWeight& w, size_t output, const float* x, float* sums) {
    const D d;
    const Bf16* const at = static_cast<const Bf16*>(w.values) + output * w.in;
    const size_t row_bytes = w.in * sizeof(Bf16);
    Zero<0>();
    Zero<1>();
    Zero<2>();
    Zero<3>();
    for (size_t k = 0; k < w.in; k += kDepth, x += kStepFloats) {
      Load<6>(x, 64);
      Load<7>(x + kFloats, 64);
      Load<4>(at + k, row_bytes);
      Dot<0, 4, 6>();
      Dot<1, 4, 7>();
      Load<5>(at + kRows * w.in + k, row_bytes);
      Dot<2, 5, 6>();
      Dot<3, 5, 7>();
      if (!kAhead) continue;
      const Bf16* next = at + kOutputs * w.in + k;
      for (size_t r = 0; r < kOutputs; ++r, next += w.in) hwy::Prefetch(next);
    }
    alignas(64) float low[2 * kFloats];
    Store<0>(sums, 64);
    Store<1>(low, 64);
    Store<2>(sums + kFloats, 64);
    Store<3>(low + kFloats, 64);
    for (size_t i = 0; i < 2 * kFloats; i += 16)
      hn::Store(hn::Add(hn::Load(d, sums + i), hn::Load(d, low + i)), d, sums + i);
  }
};

// 32 outputs, those of [first, end) stored, of 16 rows of x, those of [row, row_end) stored.
template <class Sums, bool kAhead>
HWY_INLINE void Unit(const RowWeight& w, size_t output, size_t first, size_t end, const float* x, size_t group,
                     size_t row, size_t row_end, Matrix<float> y) {
  alignas(64) float sums[2 * kFloats], rows[kFloats];
  Sums::template Run<kAhead>(w, output, x, sums);
  for (size_t half = 0; half < 2; ++half) {
    TransposeBlock(sums + half * kFloats, 16, rows);
    const size_t begin = output + half * kRows, from = HWY_MAX(first, begin), to = HWY_MIN(end, begin + kRows);
    for (size_t r = row; from < to && r < row_end; ++r) {
      const float* const found = rows + (r - group) * 16 + (from - begin);
      float* const place = y.row(r - row_end + y.rows) + from;
      for (size_t i = 0; i < to - from; ++i) place[i] = found[i];
    }
  }
}

// Rows [first_row, first_row + y.rows) of x, laid out, times the outputs. The weight has at least 32.
template <class Sums>
HWY_NOINLINE void Run(const RowWeight& w, const float* x, size_t first_row, size_t first, size_t count,
                      Matrix<float> y) {
  const Scope scope;
  const size_t end = first + count, last_row = first_row + y.rows, group_floats = Sums::group_floats(w.in);
  for (size_t o = first; o < end; o += kOutputs) {
    // The last step reaches back, so as not to read behind the weight.
    const size_t output = HWY_MIN(o, w.out - kOutputs);
    for (size_t group = first_row / kRows * kRows; group < last_row; group += kRows) {
      const size_t row = HWY_MAX(group, first_row), row_end = HWY_MIN(group + kRows, last_row);
      const float* const tiles = x + group / kRows * group_floats;
      const Matrix<float> part = y.row_range(row - first_row, row_end - row);
      if (group <= first_row) {
        Unit<Sums, true>(w, output, HWY_MAX(o, first), end, tiles, group, row, row_end, part);
      } else {
        Unit<Sums, false>(w, output, HWY_MAX(o, first), end, tiles, group, row, row_end, part);
      }
    }
  }
}

// A matrix of an adapter is too short for its lines to be fetched in time.
constexpr size_t kLeastOutputs = 4 * kOutputs;

// Whether rows are multiplied so.
inline bool Takes(const RowWeight& w) {
  return w.encoding == RowEncoding::kBf16 && w.in % kDepth == 0 && w.out >= kLeastOutputs && amx();
}

}  // namespace lora::kernels::HWY_NAMESPACE::row_tiles
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_ROW_TILES_INL_H_
