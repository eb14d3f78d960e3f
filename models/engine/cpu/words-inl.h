// Words: what one lane multiplies and adds at once. A word is a float32, or two neighbouring bfloat16 along the
// contraction where the processor has an instruction for that. FloatWords and PairWords have the same interface, so
// that a kernel is written once, as a template of Words.

#if defined(LORA_WORDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_WORDS_INL_H_
#undef LORA_WORDS_INL_H_
#else
#define LORA_WORDS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "models/engine/cpu/blocks-inl.h"
#include "models/engine/cpu/matrix.h"
#include "models/engine/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

using Lanes = hn::CappedTag<float, 16>;
using Wide = hn::Vec<Lanes>;

struct WholeBlocks {
  size_t rows = 0, columns = 0;
};
// Transposes the whole blocks of 16 by 16 of a matrix of words, if the processor has such blocks. Returns how many rows
// and columns it transposed.
#if LORA_AVX512
HWY_INLINE WholeBlocks TransposeWholeBlocks(Matrix<const float> words, float* to, size_t to_row) {
  const WholeBlocks whole{words.rows / 16 * 16, words.columns / 16 * 16};
  for (size_t r = 0; r < whole.rows; r += 16) {
    for (size_t c = 0; c < whole.columns; c += 16) {
      blocks::TransposeBlock(words.row(r) + c, words.stride, to + c * to_row + r, to_row);
    }
  }
  return whole;
}
#else
HWY_INLINE WholeBlocks TransposeWholeBlocks(Matrix<const float>, float*, size_t) { return {}; }
#endif

// A word is one float32 along the contraction.
struct FloatWords {
  static constexpr size_t kStep = 1;
  static HWY_INLINE Wide Dot(Wide a, Wide b, Wide sum) { return hn::MulAdd(a, b, sum); }

  // (rows, columns), the contraction along the columns: a copy as float32. Rows of `to` are to_row words apart.
  template <class T>
  static void Across(Matrix<const T> from, float* to, size_t to_row) {
    for (size_t r = 0; r < from.rows; ++r) {
      ForEach(from.columns,
              [&](auto d, size_t i) HWY_ATTR { StoreFloats(d, LoadFloats(d, from.row(r) + i), to + r * to_row + i); });
    }
  }
  // (rows, columns), the contraction along the rows. Zeros from the last column to to_row.
  template <class T>
  static void Down(Matrix<const T> from, float* to, size_t to_row) {
    Across(from, to, to_row);
    for (size_t r = 0; r < from.rows; ++r) std::fill(to + r * to_row + from.columns, to + (r + 1) * to_row, 0.0f);
  }
  // (columns, rows), the contraction along the columns of `from`. Zeros from the last row of `from` to to_row.
  template <class T>
  static void Transposed(Matrix<const T> from, float* to, size_t to_row) {
    WholeBlocks done;
    if constexpr (std::is_same_v<T, float>) done = TransposeWholeBlocks(from, to, to_row);
    for (size_t r = 0; r < from.rows; ++r) {
      const size_t left = r < done.rows ? done.columns : 0;
      ForEach(from.columns - left, [&](auto d, size_t i) HWY_ATTR {
        HWY_ALIGN float lanes[16];
        hn::StoreU(LoadFloats(d, from.row(r) + left + i), d, lanes);
        for (size_t l = 0; l < hn::Lanes(d); ++l) to[(left + i + l) * to_row + r] = lanes[l];
      });
    }
    for (size_t i = 0; i < from.columns; ++i) std::fill(to + i * to_row + from.rows, to + (i + 1) * to_row, 0.0f);
  }
  // The rows of `from` as float32: `from` itself, or a copy in `scratch`.
  static Matrix<const float> AsWords(Matrix<const float> from, float*) { return from; }
  static Matrix<const float> AsWords(Matrix<const Bf16> from, float* scratch) {
    Across(from, scratch, from.columns);
    return {scratch, from.rows, from.columns, from.columns};
  }
  // Float32 results as words along their rows, and along their columns: themselves.
  static const float* RowsOf(Matrix<const float> from, float*) { return from.data; }
  static const float* ColumnsOf(Matrix<const float> from, float*) { return from.data; }
};

#if LORA_AVX512
// A word is two neighbours along the contraction, the first in the lower half. For processors with AVX512-BF16.
struct PairWords {
  static constexpr size_t kStep = 2;
  static HWY_INLINE Wide Dot(Wide a, Wide b, Wide sum) {
    const hn::Rebind<uint32_t, Lanes> words;
    blocks::DotPairs(sum, hn::BitCast(words, a), hn::BitCast(words, b));
    return sum;
  }

  // (rows, columns/2): neighbours lie side by side already.
  static void Across(Matrix<const Bf16> from, float* to, size_t to_row) {
    for (size_t r = 0; r < from.rows; ++r) std::memcpy(to + r * to_row, from.row(r), from.columns * sizeof(Bf16));
  }
  // (rows/2, columns): row 2i with row 2i + 1. Zeros after the last row, and from the last column to to_row.
  static void Down(Matrix<const Bf16> from, float* to, size_t to_row) {
    auto* words = reinterpret_cast<uint32_t*>(to);
    for (size_t r = 0; r < from.rows; r += 2, words += to_row) {
      const Bf16* const low = from.row(r);
      const Bf16* const high = r + 1 < from.rows ? from.row(r + 1) : nullptr;
      for (size_t i = 0; i < from.columns; ++i) {
        words[i] = low[i].bits | (high ? static_cast<uint32_t>(high[i].bits) << 16 : 0u);
      }
      std::fill(words + from.columns, words + to_row, 0u);
    }
  }
  // (columns/2, rows): pairs of neighbours, transposed. Zeros from the last row of `from` to to_row.
  static void Transposed(Matrix<const Bf16> from, float* to, size_t to_row) {
    const size_t pairs = from.columns / 2;
    WholeBlocks done;
    if (from.stride % 2 == 0) {
      const auto* const words = reinterpret_cast<const float*>(from.data);
      done = TransposeWholeBlocks({words, from.rows, pairs, from.stride / 2}, to, to_row);
    }
    for (size_t r = 0; r < from.rows; ++r) {
      const Bf16* const row = from.row(r);
      for (size_t i = r < done.rows ? done.columns : 0; i < pairs; ++i)
        std::memcpy(to + i * to_row + r, row + 2 * i, sizeof(float));
    }
    for (size_t i = 0; i < pairs; ++i) std::fill(to + i * to_row + from.rows, to + (i + 1) * to_row, 0.0f);
  }
  // Float32 results rounded to bfloat16, as words along their rows (rows, stride/2), and along their columns (rows/2,
  // stride), in `words`. The columns are whole vectors.
  static const float* RowsOf(Matrix<const float> from, float* words) {
    const Lanes d;
    for (size_t r = 0; r < from.rows; ++r) {
      auto* const to = reinterpret_cast<Bf16*>(words + r * (from.stride / 2));
      for (size_t i = 0; i < from.columns; i += hn::Lanes(d)) StoreFloats(d, hn::LoadU(d, from.row(r) + i), to + i);
    }
    return words;
  }
  static const float* ColumnsOf(Matrix<const float> from, float* words) {
    const Lanes d;
    const hn::Rebind<uint32_t, Lanes> bits;
    for (size_t r = 0; r < from.rows; r += 2) {
      const float* const low = from.row(r);
      for (size_t i = 0; i < from.columns; i += hn::Lanes(d)) {
        auto word = hn::ShiftRight<16>(RoundedBits(d, hn::LoadU(d, low + i)));
        if (r + 1 < from.rows) {
          const auto high = RoundedBits(d, hn::LoadU(d, low + from.stride + i));
          word = hn::Or(word, hn::And(high, hn::Set(bits, 0xffff0000u)));
        }
        hn::StoreU(hn::BitCast(d, word), d, words + (r / 2) * from.stride + i);
      }
    }
    return words;
  }
};
#endif  // LORA_AVX512

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LORA_WORDS_INL_H_
