#include "models/engine/cpu/row_product.h"

#include <algorithm>
#include <cstring>

#include "models/engine/cpu/quantized.h"
#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/row_product.cpp"
#include <hwy/foreach_target.h>
// What follows is compiled once an instruction set.
#include <hwy/highway.h>

#include "models/engine/cpu/row_code_tiles-inl.h"
#include "models/engine/cpu/row_sources-inl.h"
#include "models/engine/cpu/row_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

// Outputs that are computed together: their weights stay in the first cache while all rows meet them.
constexpr size_t kPanel = 4;

// O outputs of R rows. Each sum has one accumulator of its own, from the first column to the last, so that its bits do
// not depend on R and O.
template <class Source, size_t R, size_t O, bool kAhead>
HWY_INLINE void RowTile(const RowWeight& w, size_t output, const float* x, size_t x_row, float* y, size_t y_row) {
  const Lanes d;
  const size_t lanes = hn::Lanes(d), step = Source::kParts * lanes;
  Source sources[O];
  Wide sums[O][R];
  for (size_t o = 0; o < O; ++o) {
    sources[o] = Source(w, output + o);
    for (size_t r = 0; r < R; ++r) sums[o][r] = hn::Zero(d);
  }
  size_t k = 0;
  for (; k + step <= w.in; k += step) {
    if (kAhead) {
      for (size_t o = 0; o < O; ++o) sources[o].Prefetch(w, k);
    }
    Wide parts[O][Source::kParts];
    for (size_t o = 0; o < O; ++o) sources[o].Load(d, k, parts[o]);
    for (size_t p = 0; p < Source::kParts; ++p) {
      for (size_t r = 0; r < R; ++r) {
        const Wide column = hn::LoadU(d, x + r * x_row + k + p * lanes);
        for (size_t o = 0; o < O; ++o) sums[o][r] = hn::MulAdd(parts[o][p], column, sums[o][r]);
      }
    }
  }
  for (size_t o = 0; o < O; ++o) {
    for (size_t r = 0; r < R; ++r) {
      float sum = hn::GetLane(hn::SumOfLanes(d, sums[o][r]));
      for (size_t i = k; i < w.in; ++i) sum += sources[o].At(i) * x[r * x_row + i];
      y[r * y_row + output + o] = sum * sources[o].Step();
    }
  }
}

// All rows of O outputs. The first rows to meet the weights fetch those of the panel after this one.
template <class Source, size_t O>
HWY_INLINE void RowPanel(const RowWeight& w, size_t output, Matrix<const float> x, Matrix<float> y) {
  // As many sums as there are registers for.
  constexpr size_t kRows = HWY_MAX_BYTES >= 64 ? 4 : 2;
  size_t r = 0;
  if (x.rows >= kRows) {
    RowTile<Source, kRows, O, true>(w, output, x.row(0), x.stride, y.row(0), y.stride);
    for (r = kRows; r + kRows <= x.rows; r += kRows) {
      RowTile<Source, kRows, O, false>(w, output, x.row(r), x.stride, y.row(r), y.stride);
    }
  }
  for (; r < x.rows; ++r) {
    if (r == 0) {
      RowTile<Source, 1, O, true>(w, output, x.row(0), x.stride, y.row(0), y.stride);
    } else {
      RowTile<Source, 1, O, false>(w, output, x.row(r), x.stride, y.row(r), y.stride);
    }
  }
}

template <class Source>
HWY_NOINLINE void RowsOf(const RowWeight& w, Matrix<const float> x, size_t first, size_t count, Matrix<float> y) {
  const size_t end = first + count;
  size_t o = first;
  for (; o + kPanel <= end; o += kPanel) RowPanel<Source, kPanel>(w, o, x, y);
  for (; o < end; ++o) RowPanel<Source, 1>(w, o, x, y);
}

RowOrder OrderOf(const RowWeight& w, [[maybe_unused]] size_t rows) {
#if LORA_AVX512
  if (row_tiles::Takes(w)) return RowOrder::kTiles;
  if (row_code_tiles::Takes(w, rows))
    return w.encoding == RowEncoding::kInt8 ? RowOrder::kDigits : RowOrder::kHalvedDigits;
#endif
  return w.encoding == RowEncoding::kBf16 || w.encoding == RowEncoding::kNf4 ? RowOrder::kPairs : RowOrder::kPlain;
}

void RowsRun(const RowWeight& w, const LaidRows& laid, size_t first_row, size_t first, size_t count, Matrix<float> y) {
#if LORA_AVX512
  const auto on_tiles = laid.order == RowOrder::kTiles          ? row_tiles::Run<row_tiles::Bf16Sums>
                        : laid.order == RowOrder::kDigits       ? row_tiles::Run<row_code_tiles::Int8Sums>
                        : laid.order == RowOrder::kHalvedDigits ? row_tiles::Run<row_code_tiles::Nf4Sums>
                                                                : nullptr;
  if (on_tiles) return on_tiles(w, laid.data, first_row, first, count, y);
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
      return RowsOf<Nf4Source>(w, x, first, count, y);
  }
}

void LayRows(RowOrder order, Matrix<const float> x, float* to) {
#if LORA_AVX512
  if (order == RowOrder::kTiles) return row_tiles::LayTiles(x, to);
  if (order == RowOrder::kDigits) return row_code_tiles::LayDigits<false>(x, to);
  if (order == RowOrder::kHalvedDigits) return row_code_tiles::LayDigits<true>(x, to);
#endif
  const Lanes d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < x.rows; ++r, to += x.columns) {
    const float* const from = x.row(r);
    size_t k = 0;
    if (order == RowOrder::kPairs) {
      for (; k + 2 * lanes <= x.columns; k += 2 * lanes) {
        Wide even, odd;
        hn::LoadInterleaved2(d, from + k, even, odd);
        hn::StoreU(even, d, to + k);
        hn::StoreU(odd, d, to + k + lanes);
      }
    }
    std::memcpy(to + k, from + k, (x.columns - k) * sizeof(float));
  }
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
