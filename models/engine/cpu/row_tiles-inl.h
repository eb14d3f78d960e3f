// Products of few rows on AMX (see row_product.h, tiles-inl.h): rows of a weight are A tiles where they lie, x is laid
// out as B tiles of 16 rows. A float32 of x is the sum of two bfloat16, high and low, whose products have sums of their
// own. int8 codes are bfloat16 without rounding; a value of NF4 is such a sum of two itself.

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

#include "models/base/numbers.h"
#include "models/engine/cpu/quantized.h"
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

// The A tiles of 32 outputs as they lie.
struct Bf16Rows {
  static constexpr bool kTwoParts = false;
  const Bf16* at;
  size_t row;
  Bf16Rows(const RowWeight& w, size_t output) : at(static_cast<const Bf16*>(w.values) + output * w.in), row(w.in) {}
  HWY_INLINE void LoadFirst(size_t k) { Load<4>(at + k, row * sizeof(Bf16)); }
  HWY_INLINE void LoadSecond(size_t k) { Load<5>(at + kRows * row + k, row * sizeof(Bf16)); }
  // The lines of the 32 outputs behind these.
  HWY_INLINE void Prefetch(size_t k) const {
    const Bf16* next = at + kOutputs * row + k;
    for (size_t r = 0; r < kOutputs; ++r, next += row) hwy::Prefetch(next);
  }
  static float Step(const RowWeight&, size_t) { return 1.0f; }
};

// The same of codes, through memory.
struct Int8Rows {
  static constexpr bool kTwoParts = false;
  const int8_t* at;
  size_t row;
  alignas(64) Bf16 first_tile[kRows * kDepth], second_tile[kRows * kDepth];
  Int8Rows(const RowWeight& w, size_t output) : at(static_cast<const int8_t*>(w.values) + output * w.in), row(w.in) {}
  HWY_INLINE void Decode(const int8_t* codes, Bf16* tile) {
    const D d;
    const hn::Rebind<int8_t, D> narrow;
    const hn::RebindToSigned<D> whole;
    for (size_t r = 0; r < kRows; ++r, codes += row) {
      const auto low = hn::ConvertTo(d, hn::PromoteTo(whole, hn::LoadU(narrow, codes)));
      const auto high = hn::ConvertTo(d, hn::PromoteTo(whole, hn::LoadU(narrow, codes + 16)));
      __m512i both;
      asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(both) : "v"(low.raw), "v"(high.raw));
      _mm512_store_si512(tile + r * kDepth, both);
    }
  }
  HWY_INLINE void LoadFirst(size_t k) {
    Decode(at + k, first_tile);
    Load<4>(first_tile, 64);
  }
  HWY_INLINE void LoadSecond(size_t k) {
    Decode(at + kRows * row + k, second_tile);
    Load<5>(second_tile, 64);
  }
  HWY_INLINE void Prefetch(size_t k) const {
    if (k % 64 != 0) return;
    const int8_t* next = at + kOutputs * row + k;
    for (size_t r = 0; r < kOutputs; ++r, next += row) hwy::Prefetch(next);
  }
  static float Step(const RowWeight& w, size_t output) { return w.scales[output]; }
};

// High and low parts of values. The products of low parts with each other are left out: they are below 16 bits.
struct Nf4Rows {
  static constexpr bool kTwoParts = true;
  const uint8_t* at;
  const float* scales;
  size_t row;
  alignas(64) uint32_t high[kFloats], low[kFloats];
  Nf4Rows(const RowWeight& w, size_t output)
      : at(static_cast<const uint8_t*>(w.values) + output * w.in / 2),
        scales(w.scales + output * (w.in / kNf4Block)),
        row(w.in) {}
  HWY_INLINE void Decode(size_t first, size_t k) {
    const D d;
    const hn::Rebind<uint8_t, D> bytes;
    const auto of = [](Word table, Word code) { return Word{_mm512_permutexvar_epi32(code.raw, table.raw)}; };
    const uint8_t* codes = at + (first * row + k) / 2;
    const float* scale = scales + (first * row + k) / kNf4Block;
    for (size_t r = 0; r < kRows; ++r, codes += row / 2, scale += row / kNf4Block) {
      const Split levels = SplitFloats(hn::Mul(hn::LoadU(d, kNf4Levels.data()), hn::Set(d, *scale)));
      const Word odd = hn::PromoteTo(W(), hn::LoadU(bytes, codes)), even = hn::ShiftRight<4>(odd);  // four bits count
      hn::Store(Pair(of(levels.high, even), of(levels.high, odd)), W(), high + r * 16);
      hn::Store(Pair(of(levels.low, even), of(levels.low, odd)), W(), low + r * 16);
    }
  }
  HWY_INLINE void LoadFirst(size_t k) {
    Decode(0, k);
    Load<4>(high, 64);
  }
  HWY_INLINE void LoadSecond(size_t k) {
    Decode(kRows, k);
    Load<5>(high, 64);
  }
  HWY_INLINE void LoadFirstLow() { Load<4>(low, 64); }
  HWY_INLINE void LoadSecondLow() { Load<5>(low, 64); }
  HWY_INLINE void Prefetch(size_t k) const {
    if (k % 128 != 0) return;
    const uint8_t* next = at + (kOutputs * row + k) / 2;
    for (size_t r = 0; r < kOutputs; ++r, next += row / 2) hwy::Prefetch(next);
  }
  static float Step(const RowWeight&, size_t) { return 1.0f; }
};

// 32 outputs, those of [first, end) stored, of 16 rows of x, those of [row, row_end) stored.
template <class Rows, bool kAhead>
HWY_INLINE void Unit(const RowWeight& w, size_t output, size_t first, size_t end, const float* x, size_t group,
                     size_t row, size_t row_end, Matrix<float> y) {
  const D d;
  Rows weights(w, output);
  Zero<0>();
  Zero<1>();
  Zero<2>();
  Zero<3>();
  for (size_t k = 0; k < w.in; k += kDepth, x += kStepFloats) {
    Load<6>(x, 64);
    Load<7>(x + kFloats, 64);
    weights.LoadFirst(k);
    Dot<0, 4, 6>();
    Dot<1, 4, 7>();
    if constexpr (Rows::kTwoParts) {
      weights.LoadFirstLow();
      Dot<1, 4, 6>();
    }
    weights.LoadSecond(k);
    Dot<2, 5, 6>();
    Dot<3, 5, 7>();
    if constexpr (Rows::kTwoParts) {
      weights.LoadSecondLow();
      Dot<3, 5, 6>();
    }
    if (kAhead) weights.Prefetch(k);
  }
  alignas(64) float sums[4 * kFloats], rows[kFloats];
  Store<0>(sums, 64);
  Store<1>(sums + kFloats, 64);
  Store<2>(sums + 2 * kFloats, 64);
  Store<3>(sums + 3 * kFloats, 64);
  for (size_t half = 0; half < 2; ++half) {
    float* const high = sums + 2 * half * kFloats;
    for (size_t o = 0; o < kRows; ++o) {
      const float step = Rows::Step(w, output + half * kRows + o);
      const auto sum = hn::Add(hn::Load(d, high + o * 16), hn::Load(d, high + kFloats + o * 16));
      hn::Store(hn::Mul(sum, hn::Set(d, step)), d, high + o * 16);
    }
    TransposeBlock(high, 16, rows);
    const size_t begin = output + half * kRows, from = HWY_MAX(first, begin), to = HWY_MIN(end, begin + kRows);
    for (size_t r = row; from < to && r < row_end; ++r) {
      const float* const found = rows + (r - group) * 16 + (from - begin);
      float* const place = y.row(r - row_end + y.rows) + from;
      for (size_t i = 0; i < to - from; ++i) place[i] = found[i];
    }
  }
}

// Rows [first_row, first_row + y.rows) of x, laid out by LayTiles, times the outputs. The weight has at least 32.
template <class Rows>
HWY_NOINLINE void Run(const RowWeight& w, const float* x, size_t first_row, size_t first, size_t count,
                      Matrix<float> y) {
  const Scope scope;
  const size_t end = first + count, last_row = first_row + y.rows, group_floats = w.in / kDepth * kStepFloats;
  for (size_t o = first; o < end; o += kOutputs) {
    // The last step reaches back, so as not to read behind the weight.
    const size_t output = HWY_MIN(o, w.out - kOutputs);
    for (size_t group = first_row / kRows * kRows; group < last_row; group += kRows) {
      const size_t row = HWY_MAX(group, first_row), row_end = HWY_MIN(group + kRows, last_row);
      const float* const tiles = x + group / kRows * group_floats;
      const Matrix<float> part = y.row_range(row - first_row, row_end - row);
      if (group <= first_row) {
        Unit<Rows, true>(w, output, HWY_MAX(o, first), end, tiles, group, row, row_end, part);
      } else {
        Unit<Rows, false>(w, output, HWY_MAX(o, first), end, tiles, group, row, row_end, part);
      }
    }
  }
}

// Whether so many rows are multiplied so. Codes take time to become tiles, which a few rows do not pay for. A matrix of
// an adapter is too short for its lines to be fetched in time.
inline bool Takes(const RowWeight& w, size_t rows) {
  constexpr size_t kRowsOfCodes = 6, kLeastOutputs = 4 * kOutputs;
  const bool codes = w.encoding == RowEncoding::kInt8 || w.encoding == RowEncoding::kNf4;
  const bool worth = w.encoding == RowEncoding::kBf16 || (codes && rows >= kRowsOfCodes);
  return worth && w.in % kDepth == 0 && w.out >= kLeastOutputs && amx();
}

}  // namespace lora::kernels::HWY_NAMESPACE::row_tiles
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_ROW_TILES_INL_H_
