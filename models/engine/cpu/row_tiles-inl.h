// Products of few rows on AMX (see row_product.h, tiles-inl.h): rows of a weight are A tiles, x is laid out as B tiles of
// 16 rows. A tiles of bfloat16 are loaded where they lie, those of int8 and NF4 are decoded first.

#if defined(LORA_ROW_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_ROW_TILES_INL_H_
#undef LORA_ROW_TILES_INL_H_
#else
#define LORA_ROW_TILES_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "models/engine/cpu/row_pairs-inl.h"
#include "models/engine/cpu/row_product.h"
#include "models/engine/cpu/tiles-inl.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::row_tiles {

using namespace tiles;

constexpr size_t kOutputs = 2 * kRows;   // of a step
constexpr size_t kColumns = 2 * kDepth;  // that are multiplied at a time
static_assert(kColumns == kNf4Block);

// x (rows, columns) -> [16 rows][part of 32 columns], with zeros for rows that are missing.
template <bool kOfPairs>
void LayTiles(Matrix<const float> x, float* to) {
  const D d;
  constexpr size_t kCount = Parts<kOfPairs>::kCount;
  alignas(64) float rows[kCount][kFloats];
  for (size_t first = 0; first < x.rows; first += kRows) {
    const size_t count = HWY_MIN(kRows, x.rows - first);
    std::fill(rows[0], rows[0] + kCount * kFloats, 0.0f);
    for (size_t k = 0; k < x.columns; k += kCount * kDepth) {
      for (size_t r = 0; r < count; ++r) {
        const Parts<kOfPairs> parts(x.row(first + r) + k);
        for (size_t p = 0; p < kCount; ++p) hn::Store(parts.of[p], d, rows[p] + r * 16);
      }
      for (size_t p = 0; p < kCount; ++p, to += kFloats) TransposeBlock(rows[p], 16, to);
    }
  }
}

// Fetches the lines that begin at `at`, of 32 outputs.
HWY_INLINE void FetchOutputs(const void* at, size_t row_bytes) {
  const char* line = static_cast<const char*>(at);
  for (size_t r = 0; r < kOutputs; ++r, line += row_bytes) hwy::Prefetch(line);
}

// Sums of 32 outputs and 16 rows: tiles 0 and 1 those of 16 outputs, of even and of odd steps of 32 columns, since a
// product waits for the one before it in the same tile; 2 and 3 those of the others.
HWY_INLINE void ZeroSums() {
  Zero<0>();
  Zero<1>();
  Zero<2>();
  Zero<3>();
}
// sums (32 outputs, 16 rows), each times its output's step.
template <class Source>
HWY_INLINE void StoreSums(const RowWeight& w, size_t output, float* sums) {
  const D d;
  alignas(64) float odd[2 * kFloats];
  Store<0>(sums, 64);
  Store<1>(odd, 64);
  Store<2>(sums + kFloats, 64);
  Store<3>(odd + kFloats, 64);
  for (size_t o = 0; o < kOutputs; ++o) {
    const auto sum = hn::Add(hn::Load(d, sums + o * 16), hn::Load(d, odd + o * 16));
    hn::Store(hn::Mul(sum, hn::Set(d, Source(w, output + o).Step())), d, sums + o * 16);
  }
}

// sums (32 outputs, 16 rows) from `output` on. With kAhead the lines of the 32 outputs behind these are fetched.
template <bool kAhead>
HWY_INLINE void SumsAsTheyLie(const RowWeight& w, size_t output, const float* x, float* sums) {
  const Bf16* const at = static_cast<const Bf16*>(w.values) + output * w.in;
  const size_t row_bytes = w.in * sizeof(Bf16);
  // A step of 32 columns, an even or an odd one.
  const auto step = [&]<int kOdd>(size_t k) HWY_ATTR {
    Load<6 + kOdd>(x + k / kDepth * kFloats, 64);
    Load<4>(at + k, row_bytes);
    Dot<kOdd, 4, 6 + kOdd>();
    Load<5>(at + kRows * w.in + k, row_bytes);
    Dot<2 + kOdd, 5, 6 + kOdd>();
    if (kAhead) FetchOutputs(at + kOutputs * w.in + k, row_bytes);
  };
  ZeroSums();
  for (size_t k = 0; k < w.in; k += kColumns) {
    step.template operator()<0>(k);
    if (k + kDepth < w.in) step.template operator()<1>(k + kDepth);
  }
  StoreSums<Bf16Pairs>(w, output, sums);
}

// The same of codes, 64 columns at a time: the next ones are decoded between the products of these.
template <class Source, bool kAhead>
HWY_INLINE void SumsDecoded(const RowWeight& w, size_t output, const float* x, float* sums) {
  const D d;
  alignas(64) float ready[2][2][2 * kFloats];  // of even and of odd 64 columns: two times 32 of them, of 32 outputs
  const auto decode = [&](size_t k, size_t first) HWY_ATTR {
    if (k == w.in) return;
    auto& to = ready[k / kColumns % 2];
    for (size_t o = first; o < first + 8; ++o) {
      const Source source(w, output + o);
      Wide parts[2];
      for (size_t p = 0; p < 2; p += Source::kParts) source.Load(d, k + p * kDepth, parts + p);
      hn::Store(parts[0], d, to[0] + o * 16);
      hn::Store(parts[1], d, to[1] + o * 16);
    }
  };
  const size_t row_bytes = Source::RowBytes(w.in);
  const char* const behind = static_cast<const char*>(w.values) + (output + kOutputs) * row_bytes;
  for (size_t first = 0; first < kOutputs; first += 8) decode(0, first);
  ZeroSums();
  for (size_t k = 0; k < w.in; k += kColumns, x += 2 * kFloats) {
    const auto& now = ready[k / kColumns % 2];
    Load<6>(x, 64);
    Load<4>(now[0], 64);
    Dot<0, 4, 6>();
    decode(k + kColumns, 0);
    Load<5>(now[0] + kFloats, 64);
    Dot<2, 5, 6>();
    decode(k + kColumns, 8);
    Load<7>(x + kFloats, 64);
    Load<4>(now[1], 64);
    Dot<1, 4, 7>();
    decode(k + kColumns, 16);
    Load<5>(now[1] + kFloats, 64);
    Dot<3, 5, 7>();
    decode(k + kColumns, 24);
    if (kAhead && Source::RowBytes(k) % 64 == 0) FetchOutputs(behind + Source::RowBytes(k), row_bytes);
  }
  StoreSums<Source>(w, output, sums);
}

// 32 outputs, those of [first, end) stored, of 16 rows of x, those of [row, row_end) stored.
template <class Source, bool kAhead>
HWY_INLINE void Unit(const RowWeight& w, size_t output, size_t first, size_t end, const float* x, size_t group,
                     size_t row, size_t row_end, Matrix<float> y) {
  alignas(64) float sums[2 * kFloats], rows[kFloats];
  if constexpr (Source::kDecodes) {
    SumsDecoded<Source, kAhead>(w, output, x, sums);
  } else {
    SumsAsTheyLie<kAhead>(w, output, x, sums);
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

// Rows [first_row, first_row + y.rows) of x, laid out, times the outputs. The weight has at least 32.
template <class Source>
HWY_NOINLINE void Run(const RowWeight& w, const float* x, size_t first_row, size_t first, size_t count,
                      Matrix<float> y) {
  const Scope scope;
  const size_t end = first + count, last_row = first_row + y.rows, group_floats = w.in / kDepth * kFloats;
  for (size_t o = first; o < end; o += kOutputs) {
    // The last step reaches back, so as not to read behind the weight.
    const size_t output = HWY_MIN(o, w.out - kOutputs);
    for (size_t group = first_row / kRows * kRows; group < last_row; group += kRows) {
      const size_t row = HWY_MAX(group, first_row), row_end = HWY_MIN(group + kRows, last_row);
      const float* const tiles = x + group / kRows * group_floats;
      const Matrix<float> part = y.row_range(row - first_row, row_end - row);
      if (group <= first_row) {
        Unit<Source, true>(w, output, HWY_MAX(o, first), end, tiles, group, row, row_end, part);
      } else {
        Unit<Source, false>(w, output, HWY_MAX(o, first), end, tiles, group, row, row_end, part);
      }
    }
  }
}

// Whether so many rows are multiplied so. Codes take time to become tiles, which a few rows do not pay for. A matrix of
// an adapter is too short for its lines to be fetched in time.
inline bool Takes(const RowWeight& w, size_t rows) {
  constexpr size_t kLeastRows = 6, kLeastOutputs = 4 * kOutputs;
  const bool as_it_lies = w.encoding == RowEncoding::kBf16;
  const bool worth = as_it_lies ? w.in % kDepth == 0 : rows >= kLeastRows && w.in % kColumns == 0;
  return w.half && worth && w.out >= kLeastOutputs && amx();
}

}  // namespace lora::kernels::HWY_NAMESPACE::row_tiles
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_ROW_TILES_INL_H_
