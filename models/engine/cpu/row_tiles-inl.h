// Products of few rows on AMX (see row_product.h, tiles-inl.h): rows of a weight are A tiles where they lie, x is laid
// out as B tiles of 16 rows. A float32 of x is the sum of two bfloat16, high and low, whose products have sums of their
// own. int8 codes are bfloat16 without rounding; a level of NF4 is such a sum of two itself.

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
#include <type_traits>

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

// The A tiles of 32 outputs: LoadTile<tile>(half, k) loads that of 16 of them and of the columns [k, k + 32).

// Of bfloat16, as they lie.
struct Bf16Rows {
  const Bf16* at;
  size_t row;
  Bf16Rows(const RowWeight& w, size_t output) : at(static_cast<const Bf16*>(w.values) + output * w.in), row(w.in) {}
  template <int kTile>
  HWY_INLINE void LoadTile(size_t half, size_t k) {
    Load<kTile>(at + half * kRows * row + k, row * sizeof(Bf16));
  }
  // The lines of the 32 outputs behind these.
  HWY_INLINE void Prefetch(size_t k) const {
    const Bf16* next = at + kOutputs * row + k;
    for (size_t r = 0; r < kOutputs; ++r, next += row) hwy::Prefetch(next);
  }
  static float Step(const RowWeight&, size_t) { return 1.0f; }
};

// The same of codes, through memory.
struct Int8Rows {
  const int8_t* at;
  size_t row;
  alignas(64) Bf16 ready[2][kRows * kDepth];  // of each half
  Int8Rows(const RowWeight& w, size_t output) : at(static_cast<const int8_t*>(w.values) + output * w.in), row(w.in) {}
  template <int kTile>
  HWY_INLINE void LoadTile(size_t half, size_t k) {
    const D d;
    const hn::Rebind<int8_t, D> narrow;
    const hn::RebindToSigned<D> whole;
    const int8_t* codes = at + half * kRows * row + k;
    for (size_t r = 0; r < kRows; ++r, codes += row) {
      const auto low = hn::ConvertTo(d, hn::PromoteTo(whole, hn::LoadU(narrow, codes)));
      const auto high = hn::ConvertTo(d, hn::PromoteTo(whole, hn::LoadU(narrow, codes + 16)));
      __m512i both;
      asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(both) : "v"(low.raw), "v"(high.raw));
      _mm512_store_si512(ready[half] + r * kDepth, both);
    }
    Load<kTile>(ready[half], 64);
  }
  HWY_INLINE void Prefetch(size_t k) const {
    if (k % 64 != 0) return;
    const int8_t* next = at + kOutputs * row + k;
    for (size_t r = 0; r < kOutputs; ++r, next += row) hwy::Prefetch(next);
  }
  static float Step(const RowWeight& w, size_t output) { return w.scales[output]; }
};

// Of high and low parts of NF4's levels, which Prepare stores before they are loaded; their scales multiply the sums of
// each block. The products of low parts with each other are left out: they are below 16 bits.
struct Nf4Rows {
  const uint8_t* at;
  const float* scales;
  size_t row;
  Word table;  // the low part of level i in the 16 bits at 2 i, its high part at 2 i + 1
  struct Tiles {
    uint32_t high[kOutputs * 16], low[kOutputs * 16];
  };
  alignas(64) Tiles ready[2][kNf4Block / kDepth];  // of even and of odd blocks
  Nf4Rows(const RowWeight& w, size_t output)
      : at(static_cast<const uint8_t*>(w.values) + output * w.in / 2),
        scales(w.scales + output * (w.in / kNf4Block)),
        row(w.in) {
    const Split levels = SplitFloats(hn::LoadU(D(), kNf4Levels.data()));
    table = Pair(levels.low, levels.high);
  }
  // The tiles of 16 outputs and 32 columns. Their words hold two values: the even column's in the lower half, and the
  // odd one's.
  HWY_INLINE void Prepare(size_t half, size_t k) {
    const hn::Rebind<uint8_t, D> bytes;
    const Word ones = hn::Set(W(), 0x00010001u);
    const uint8_t* codes = at + (half * kRows * row + k) / 2;
    Tiles& to = tiles(k);
    for (size_t r = half * kRows; r < (half + 1) * kRows; ++r, codes += row / 2) {
      const Word pair = hn::PromoteTo(W(), hn::LoadU(bytes, codes));
      // Twice each code, and one. An index has five bits, and those above do not count.
      const Word at_high = hn::Or3(hn::ShiftRight<3>(pair), hn::ShiftLeft<17>(pair), ones);
      const Word at_low = hn::Xor(at_high, ones);
      hn::Store(Word{_mm512_permutexvar_epi16(at_high.raw, table.raw)}, W(), to.high + r * 16);
      hn::Store(Word{_mm512_permutexvar_epi16(at_low.raw, table.raw)}, W(), to.low + r * 16);
    }
  }
  Tiles& tiles(size_t k) { return ready[k / kNf4Block % 2][k % kNf4Block / kDepth]; }
  template <int kTile>
  HWY_INLINE void LoadTile(size_t half, size_t k) {
    Load<kTile>(tiles(k).high + half * kFloats, 64);
  }
  template <int kTile>
  HWY_INLINE void LoadLowTile(size_t half, size_t k) {
    Load<kTile>(tiles(k).low + half * kFloats, 64);
  }
  HWY_INLINE void Prefetch(size_t k) const {
    if (k % 128 != 0) return;
    const uint8_t* next = at + (kOutputs * row + k) / 2;
    for (size_t r = 0; r < kOutputs; ++r, next += row / 2) hwy::Prefetch(next);
  }
};

// sums (32 outputs, 16 rows) = 32 outputs times 16 rows of x.
template <class Rows, bool kAhead>
HWY_INLINE void Sums(const RowWeight& w, size_t output, const float* x, float* sums) {
  const D d;
  Rows weights(w, output);
  Zero<0>();
  Zero<1>();
  Zero<2>();
  Zero<3>();
  for (size_t k = 0; k < w.in; k += kDepth, x += kStepFloats) {
    Load<6>(x, 64);
    Load<7>(x + kFloats, 64);
    weights.template LoadTile<4>(0, k);
    Dot<0, 4, 6>();
    Dot<1, 4, 7>();
    weights.template LoadTile<5>(1, k);
    Dot<2, 5, 6>();
    Dot<3, 5, 7>();
    if (kAhead) weights.Prefetch(k);
  }
  alignas(64) float low[2 * kFloats];
  Store<0>(sums, 64);
  Store<1>(low, 64);
  Store<2>(sums + kFloats, 64);
  Store<3>(low + kFloats, 64);
  for (size_t o = 0; o < kOutputs; ++o) {
    const auto sum = hn::Add(hn::Load(d, sums + o * 16), hn::Load(d, low + o * 16));
    hn::Store(hn::Mul(sum, hn::Set(d, Rows::Step(w, output + o))), d, sums + o * 16);
  }
}

// The same of NF4, a block of columns at a time. The next block's tiles are prepared between the products of this one, and
// the last block's sums are scaled behind them, so that neither waits for the other.
template <bool kAhead>
HWY_INLINE void Nf4Sums(const RowWeight& w, size_t output, const float* x, float* sums) {
  const D d;
  const size_t blocks = w.in / kNf4Block;
  Nf4Rows weights(w, output);
  alignas(64) float found[2][2 * kFloats];  // of even and of odd blocks
  const auto add = [&](size_t block) HWY_ATTR {
    const float* from = found[block % 2];
    const float* scale = weights.scales + block;
    for (size_t o = 0; o < kOutputs; ++o, scale += blocks) {
      const auto before = block == 0 ? hn::Zero(d) : hn::Load(d, sums + o * 16);
      hn::Store(hn::MulAdd(hn::Load(d, from + o * 16), hn::Set(d, *scale), before), d, sums + o * 16);
    }
  };
  for (size_t k = 0; k < kNf4Block; k += kDepth) {
    weights.Prepare(0, k);
    weights.Prepare(1, k);
  }
  for (size_t block = 0; block < blocks; ++block) {
    Zero<0>();
    Zero<1>();
    for (size_t k = block * kNf4Block; k < (block + 1) * kNf4Block; k += kDepth, x += kStepFloats) {
      Load<6>(x, 64);
      Load<7>(x + kFloats, 64);
      weights.LoadTile<2>(0, k);
      Dot<0, 2, 6>();
      weights.LoadTile<3>(1, k);
      Dot<1, 3, 6>();
      if (block + 1 < blocks) weights.Prepare(0, k + kNf4Block);
      Dot<0, 2, 7>();
      Dot<1, 3, 7>();
      if (block + 1 < blocks) weights.Prepare(1, k + kNf4Block);
      weights.LoadLowTile<4>(0, k);
      Dot<0, 4, 6>();
      weights.LoadLowTile<5>(1, k);
      Dot<1, 5, 6>();
      if (kAhead) weights.Prefetch(k);
    }
    Store<0>(found[block % 2], 64);
    Store<1>(found[block % 2] + kFloats, 64);
    if (block > 0) add(block - 1);
  }
  add(blocks - 1);
}

// 32 outputs, those of [first, end) stored, of 16 rows of x, those of [row, row_end) stored.
template <class Rows, bool kAhead>
HWY_INLINE void Unit(const RowWeight& w, size_t output, size_t first, size_t end, const float* x, size_t group,
                     size_t row, size_t row_end, Matrix<float> y) {
  alignas(64) float sums[2 * kFloats], rows[kFloats];
  if constexpr (std::is_same_v<Rows, Nf4Rows>) {
    Nf4Sums<kAhead>(w, output, x, sums);
  } else {
    Sums<Rows, kAhead>(w, output, x, sums);
  }
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
