#include "models/engine/cpu/row_product.h"

#include <algorithm>
#include <cstring>

#include "models/engine/cpu/quantized.h"
#include "models/engine/cpu/scratch.h"
#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/row_product.cpp"
#include <hwy/foreach_target.h>
// What follows is compiled once an instruction set.
#include <hwy/highway.h>

#include "models/engine/cpu/row_pairs-inl.h"
#include "models/engine/cpu/row_sources-inl.h"
#include "models/engine/cpu/row_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

// Outputs that are computed together: their weights stay in the first cache while all rows meet them.
constexpr size_t kPanel = 4;
// Rows that are: there are registers for so many sums.
constexpr size_t kRowsTogether = HWY_MAX_BYTES >= 64 ? 4 : 2;

// Outputs that a source has decoded, so that all rows read what was decoded once.
template <class From>
struct Decoded {
  static constexpr size_t kParts = From::kParts;
  using Words = typename From::Words;
  From from;
  const float* words = nullptr;
  HWY_INLINE void Prefetch(size_t) const {}
  HWY_INLINE void Load(Lanes d, size_t k, Wide* parts) const {
    for (size_t p = 0; p < kParts; ++p) parts[p] = hn::LoadU(d, words + k / Words::kStep + p * hn::Lanes(d));
  }
  HWY_INLINE float At(size_t k) const requires requires(From source) { source.At(k); }
  { return from.At(k); }
  HWY_INLINE float Step() const { return from.Step(); }
};

// Column i of a row of x that lies as such words.
template <class Words>
HWY_INLINE float ColumnOf(const float* row, size_t i) {
  if (Words::kStep == 1) return row[i];
  const uint32_t bits = static_cast<uint32_t>(reinterpret_cast<const Bf16*>(row)[i].bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

#if LORA_AVX512
// The lanes' sums of four vectors, each with the bits of hn::SumOfLanes in half of its instructions.
HWY_INLINE __m128 SumsOfLanes(Wide a, Wide b, Wide c, Wide e) {
  const auto halves = [](__m512 first, __m512 second) HWY_ATTR {
    return _mm512_add_ps(_mm512_shuffle_f32x4(first, second, 0x44), _mm512_shuffle_f32x4(first, second, 0xee));
  };
  const __m512 ab = halves(a.raw, b.raw), ce = halves(c.raw, e.raw);
  __m512 quarters = _mm512_add_ps(_mm512_shuffle_f32x4(ab, ce, 0x88), _mm512_shuffle_f32x4(ab, ce, 0xdd));
  quarters = _mm512_add_ps(quarters, _mm512_permute_ps(quarters, 0x4e));
  quarters = _mm512_add_ps(quarters, _mm512_permute_ps(quarters, 0xb1));
  return _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, quarters));
}
#endif

// O outputs of R rows. Each sum has one accumulator of its own, from the first column to the last, so that its bits do
// not depend on R and O.
template <class Source, size_t R, size_t O, bool kAhead>
HWY_INLINE void RowTile(const RowWeight& w, const Source* sources, const float* x, size_t x_row, float* y,
                        size_t y_row) {
  using Words = typename Source::Words;
  const Lanes d;
  const size_t lanes = hn::Lanes(d), step = Source::kParts * lanes * Words::kStep;
  Wide sums[O][R];
  for (size_t o = 0; o < O; ++o) {
    for (size_t r = 0; r < R; ++r) sums[o][r] = hn::Zero(d);
  }
  size_t k = 0;
  for (; k + step <= w.in; k += step) {
    if (kAhead) {
      for (size_t o = 0; o < O; ++o) sources[o].Prefetch(k);
    }
    Wide parts[O][Source::kParts];
    for (size_t o = 0; o < O; ++o) sources[o].Load(d, k, parts[o]);
    for (size_t p = 0; p < Source::kParts; ++p) {
      for (size_t r = 0; r < R; ++r) {
        const Wide column = hn::LoadU(d, x + r * x_row + k / Words::kStep + p * lanes);
        for (size_t o = 0; o < O; ++o) sums[o][r] = Words::Dot(parts[o][p], column, sums[o][r]);
      }
    }
  }
#if LORA_AVX512
  if constexpr (O == 4) {
    if (k == w.in) {
      const __m128 steps = _mm_setr_ps(sources[0].Step(), sources[1].Step(), sources[2].Step(), sources[3].Step());
      for (size_t r = 0; r < R; ++r) {
        const __m128 found = SumsOfLanes(sums[0][r], sums[1][r], sums[2][r], sums[3][r]);
        _mm_storeu_ps(y + r * y_row, _mm_mul_ps(found, steps));
      }
      return;
    }
  }
#endif
  for (size_t o = 0; o < O; ++o) {
    for (size_t r = 0; r < R; ++r) {
      float sum = hn::GetLane(hn::SumOfLanes(d, sums[o][r]));
      if constexpr (requires { sources[o].At(k); }) {  // others have whole steps only
        for (size_t i = k; i < w.in; ++i) sum += sources[o].At(i) * ColumnOf<Words>(x + r * x_row, i);
      }
      y[r * y_row + o] = sum * sources[o].Step();
    }
  }
}

// All rows of O outputs. The first rows to meet the weights fetch those of the panel after this one.
template <size_t O, class Source>
HWY_INLINE void RowPanel(const RowWeight& w, const Source* sources, Matrix<const float> x, Matrix<float> y) {
  size_t r = 0;
  if (x.rows >= kRowsTogether) {
    RowTile<Source, kRowsTogether, O, true>(w, sources, x.row(0), x.stride, y.row(0), y.stride);
    for (r = kRowsTogether; r + kRowsTogether <= x.rows; r += kRowsTogether) {
      RowTile<Source, kRowsTogether, O, false>(w, sources, x.row(r), x.stride, y.row(r), y.stride);
    }
  }
  for (; r < x.rows; ++r) {
    if (r == 0) {
      RowTile<Source, 1, O, true>(w, sources, x.row(0), x.stride, y.row(0), y.stride);
    } else {
      RowTile<Source, 1, O, false>(w, sources, x.row(r), x.stride, y.row(r), y.stride);
    }
  }
}

// O outputs of a source that decodes -> words (O, row).
template <size_t O, class Source>
HWY_INLINE void Decode(const RowWeight& w, const Source* sources, float* words, size_t row) {
  using Words = typename Source::Words;
  const Lanes d;
  const size_t lanes = hn::Lanes(d), step = Source::kParts * lanes * Words::kStep;
  for (size_t k = 0; k + step <= w.in; k += step) {
    for (size_t o = 0; o < O; ++o) {
      Wide parts[Source::kParts];
      sources[o].Prefetch(k);
      sources[o].Load(d, k, parts);
      float* const to = words + o * row + k / Words::kStep;
      for (size_t p = 0; p < Source::kParts; ++p) hn::StoreU(parts[p], d, to + p * lanes);
    }
  }
}

template <class Source, size_t O>
HWY_INLINE void RowOutputs(const RowWeight& w, size_t output, Matrix<const float> x, Matrix<float> y) {
  Source sources[O];
  for (size_t o = 0; o < O; ++o) sources[o] = Source(w, output + o);
  const Matrix<float> to = y.column_range(output, O);
  if constexpr (Source::kDecodes) {
    if (x.rows > kRowsTogether) {
      float* const words = thread_scratch(O * x.stride);
      Decode<O>(w, sources, words, x.stride);
      Decoded<Source> decoded[O];
      for (size_t o = 0; o < O; ++o) decoded[o] = {sources[o], words + o * x.stride};
      return RowPanel<O>(w, decoded, x, to);
    }
  }
  RowPanel<O>(w, sources, x, to);
}

template <class Source>
HWY_NOINLINE void RowsOf(const RowWeight& w, Matrix<const float> x, size_t first, size_t count, Matrix<float> y) {
  const size_t end = first + count;
  size_t o = first;
  for (; o + kPanel <= end; o += kPanel) RowOutputs<Source, kPanel>(w, o, x, y);
  for (; o < end; ++o) RowOutputs<Source, 1>(w, o, x, y);
}

RowOrder OrderOf(const RowWeight& w, [[maybe_unused]] size_t rows) {
  const bool pairs = w.encoding == RowEncoding::kBf16 || w.encoding == RowEncoding::kNf4;
  if (!w.half) return pairs ? RowOrder::kPairs : RowOrder::kPlain;
#if LORA_AVX512
  const bool of_pairs = w.encoding == RowEncoding::kNf4;
  if (row_tiles::Takes(w, rows)) return of_pairs ? RowOrder::kTilesOfPairs : RowOrder::kTiles;
  if (avx512_bf16) return of_pairs ? RowOrder::kHalvesOfPairs : RowOrder::kHalves;
#endif
  return pairs ? RowOrder::kRoundedPairs : RowOrder::kRounded;
}

#if LORA_AVX512
// Rows of bfloat16, as they lie or as tiles.
template <class Source>
void HalvesRun(const RowWeight& w, const LaidRows& laid, size_t first_row, size_t first, size_t count,
               Matrix<float> y) {
  if (is_tiles(laid.order)) return row_tiles::Run<Source>(w, laid.data, first_row, first, count, y);
  const size_t row = laid_row(laid.order, laid.columns);
  RowsOf<Source>(w, {laid.data + first_row * row, y.rows, row, row}, first, count, y);
}
#endif

void RowsRun(const RowWeight& w, const LaidRows& laid, size_t first_row, size_t first, size_t count, Matrix<float> y) {
#if LORA_AVX512
  if (is_tiles(laid.order) || is_halves(laid.order)) {
    const auto run = w.encoding == RowEncoding::kInt8  ? HalvesRun<Int8Pairs>
                     : w.encoding == RowEncoding::kNf4 ? HalvesRun<Nf4Pairs>
                                                       : HalvesRun<Bf16Pairs>;
    return run(w, laid, first_row, first, count, y);
  }
#endif
  const Matrix<const float> x{laid.data + first_row * laid.columns, y.rows, laid.columns, laid.columns};
  switch (w.encoding) {
    case RowEncoding::kFloat:
      return RowsOf<FloatSource>(w, x, first, count, y);
    case RowEncoding::kBf16:
      return RowsOf<Bf16Source>(w, x, first, count, y);
    case RowEncoding::kInt8:
      return RowsOf<Int8Source>(w, x, first, count, y);
    case RowEncoding::kNf4:
      return w.half ? RowsOf<Nf4Source<true>>(w, x, first, count, y) : RowsOf<Nf4Source<false>>(w, x, first, count, y);
  }
}

// One row, in any order but that of tiles.
void LayRow(RowOrder order, const float* from, size_t columns, float* to) {
  if (order == RowOrder::kHalves) {
    return ForEach(columns, [&](auto d, size_t i)
                                HWY_ATTR { StoreFloats(d, hn::LoadU(d, from + i), reinterpret_cast<Bf16*>(to) + i); });
  }
  const Lanes d;
  const size_t lanes = hn::Lanes(d);
  size_t k = 0;
#if LORA_AVX512
  if (order == RowOrder::kHalvesOfPairs) {
    for (; k < columns; k += kNf4Block, to += kNf4Block / 2) {
      const Parts<true> parts(from + k);
      hn::StoreU(parts.of[0], d, to);
      hn::StoreU(parts.of[1], d, to + 16);
    }
    return;
  }
#endif
  if (order == RowOrder::kPairs || order == RowOrder::kRoundedPairs) {
    for (; k + 2 * lanes <= columns; k += 2 * lanes) {
      Wide even, odd;
      hn::LoadInterleaved2(d, from + k, even, odd);
      hn::StoreU(even, d, to + k);
      hn::StoreU(odd, d, to + k + lanes);
    }
  }
  std::memcpy(to + k, from + k, (columns - k) * sizeof(float));
  if (order != RowOrder::kRounded && order != RowOrder::kRoundedPairs) return;
  ForEach(columns,
          [&](auto tag, size_t i) HWY_ATTR { hn::StoreU(Counted<true>(tag, hn::LoadU(tag, to + i)), tag, to + i); });
}

void LayRows(RowOrder order, Matrix<const float> x, float* to) {
#if LORA_AVX512
  if (order == RowOrder::kTiles) return row_tiles::LayTiles<false>(x, to);
  if (order == RowOrder::kTilesOfPairs) return row_tiles::LayTiles<true>(x, to);
#endif
  for (size_t r = 0; r < x.rows; ++r) LayRow(order, x.row(r), x.columns, to + r * laid_row(order, x.columns));
}

// 16 outputs of R rows, with the panel of up, and the gain and bias, that are theirs. low (R, rank), y (R, 16).
template <class T, size_t R>
HWY_INLINE void FinishTile(const T* up, Matrix<const float> low, const float* gain, const float* bias,
                           Matrix<float> y) {
  const Lanes d;
  constexpr size_t kLanes = hn::MaxLanes(Lanes()), kParts = kUpPanel / kLanes;
  Wide sums[R][kParts];
  for (size_t r = 0; r < R; ++r) {
    for (size_t p = 0; p < kParts; ++p) sums[r][p] = hn::LoadU(d, y.row(r) + p * kLanes);
  }
  for (size_t k = 0; k < low.columns; ++k, up += kUpPanel) {
    for (size_t p = 0; p < kParts; ++p) {
      const Wide column = LoadFloats(d, up + p * kLanes);
      for (size_t r = 0; r < R; ++r) sums[r][p] = hn::MulAdd(hn::Set(d, low.row(r)[k]), column, sums[r][p]);
    }
  }
  for (size_t r = 0; r < R; ++r) {
    for (size_t p = 0; p < kParts; ++p) {
      if (gain) sums[r][p] = hn::Mul(sums[r][p], hn::LoadU(d, gain + p * kLanes));
      if (bias) sums[r][p] = hn::Add(sums[r][p], hn::LoadU(d, bias + p * kLanes));
      hn::StoreU(sums[r][p], d, y.row(r) + p * kLanes);
    }
  }
}

// The first n outputs of a panel, of R rows. Fewer than 16 are computed in a copy.
template <class T, size_t R>
HWY_INLINE void FinishPanel(const RowFinish& finish, size_t output, size_t n, size_t row, Matrix<float> y) {
  const T* const up = static_cast<const T*>(finish.up) + output * finish.rank;
  const Matrix<const float> low{finish.rank > 0 ? finish.low.row(row) : nullptr, R, finish.rank, finish.low.stride};
  const float* const gain = finish.gain ? finish.gain + output : nullptr;
  const float* const bias = finish.bias ? finish.bias + output : nullptr;
  const Matrix<float> to = y.row_range(row, R).column_range(output, n);
  if (n == kUpPanel) return FinishTile<T, R>(up, low, gain, bias, to);
  float rows[R * kUpPanel] = {}, gains[kUpPanel] = {}, biases[kUpPanel] = {};
  for (size_t r = 0; r < R; ++r) std::copy_n(to.row(r), n, rows + r * kUpPanel);
  if (gain) std::copy_n(gain, n, gains);
  if (bias) std::copy_n(bias, n, biases);
  FinishTile<T, R>(up, low, gain ? gains : nullptr, bias ? biases : nullptr, {rows, R, kUpPanel, kUpPanel});
  for (size_t r = 0; r < R; ++r) std::copy_n(rows + r * kUpPanel, n, to.row(r));
}

template <class T>
HWY_NOINLINE void FinishAs(const RowFinish& finish, size_t first, size_t count, Matrix<float> y) {
  constexpr size_t kRows = HWY_MAX_BYTES >= 64 ? 8 : 2;  // as many sums as there are registers for
  for (size_t o = first; o < first + count; o += kUpPanel) {
    const size_t n = HWY_MIN(kUpPanel, first + count - o);
    size_t r = 0;
    for (; r + kRows <= y.rows; r += kRows) FinishPanel<T, kRows>(finish, o, n, r, y);
    for (; r + 2 <= y.rows; r += 2) FinishPanel<T, 2>(finish, o, n, r, y);
    for (; r < y.rows; ++r) FinishPanel<T, 1>(finish, o, n, r, y);
  }
}

void FinishRows(const RowFinish& finish, size_t first, size_t count, Matrix<float> y) {
  if (finish.half) return FinishAs<Bf16>(finish, first, count, y);
  FinishAs<float>(finish, first, count, y);
}

RowProductKernels RowProduct() { return {.order = OrderOf, .lay = LayRows, .run = RowsRun, .finish = FinishRows}; }

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
