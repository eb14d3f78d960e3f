// Register tiles of products over "words", for whichever instruction set this inclusion compiles for. A word is what
// one lane multiplies and adds at once: a float32, or two neighbouring bfloat16 along the contraction where the
// processor has an instruction for that. float_words and bf16_words give both the same interface, so that a kernel is
// written once, in a file that is included into each of the two namespaces.

#if defined(LORA_WORDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_WORDS_INL_H_
#undef LORA_WORDS_INL_H_
#else
#define LORA_WORDS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "models/engine/cpu/blocks-inl.h"
#include "models/engine/cpu/simd-inl.h"

// AVX512-BF16 is younger than Highway's AVX3 target: its one instruction is reached by GCC's own means.
#undef LORA_BF16_PAIRS
#if HWY_ARCH_X86_64 && HWY_COMPILER_GCC_ACTUAL && HWY_TARGET <= HWY_AVX3
#define LORA_BF16_PAIRS 1
#else
#define LORA_BF16_PAIRS 0
#endif

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

using Lanes = hn::CappedTag<float, 16>;
using Wide = hn::Vec<Lanes>;

struct WholeBlocks {
  size_t rows = 0, columns = 0;
};
// (rows, columns) words -> (columns, rows), as far as whole blocks of 16 by 16 go, if the processor has them; says how
// far that was.
#if LORA_AVX512
HWY_INLINE WholeBlocks TransposeWholeBlocks(const void* from, size_t from_row, WholeBlocks all, float* to,
                                            size_t to_row) {
  const WholeBlocks whole{all.rows / 16 * 16, all.columns / 16 * 16};
  for (size_t r = 0; r < whole.rows; r += 16) {
    for (size_t c = 0; c < whole.columns; c += 16) {
      blocks::TransposeBlock(static_cast<const float*>(from) + r * from_row + c, from_row, to + c * to_row + r, to_row);
    }
  }
  return whole;
}
#else
HWY_INLINE WholeBlocks TransposeWholeBlocks(const void*, size_t, WholeBlocks, float*, size_t) { return {}; }
#endif

namespace float_words {

// A word is one float32 along the contraction.
struct Words {
  static constexpr size_t kStep = 1;
  static HWY_INLINE Wide Dot(Wide a, Wide b, Wide sum) { return hn::MulAdd(a, b, sum); }

  // (rows, dim) as it is.
  template <class T>
  static void Across(const T* from, size_t stride, size_t rows, size_t dim, float* to, size_t to_row) {
    for (size_t r = 0; r < rows; ++r) {
      ForEach(dim, [&](auto d, size_t i)
                       HWY_ATTR { StoreFloats(d, LoadFloats(d, from + r * stride + i), to + r * to_row + i); });
    }
  }
  // The same, with zeros up to whole vectors.
  template <class T>
  static void Down(const T* from, size_t stride, size_t rows, size_t dim, float* to, size_t to_row) {
    Across(from, stride, rows, dim, to, to_row);
    for (size_t r = 0; r < rows; ++r) std::fill(to + r * to_row + dim, to + (r + 1) * to_row, 0.0f);
  }
  // (dim, rows), with zeros up to whole vectors.
  template <class T>
  static void Transposed(const T* from, size_t stride, size_t rows, size_t dim, float* to, size_t to_row) {
    const WholeBlocks done =
        std::is_same_v<T, float> ? TransposeWholeBlocks(from, stride, {rows, dim}, to, to_row) : WholeBlocks();
    for (size_t r = 0; r < rows; ++r) {
      const size_t left = r < done.rows ? done.columns : 0;
      ForEach(dim - left, [&](auto d, size_t i) HWY_ATTR {
        HWY_ALIGN float lanes[16];
        hn::StoreU(LoadFloats(d, from + r * stride + left + i), d, lanes);
        for (size_t l = 0; l < hn::Lanes(d); ++l) to[(left + i + l) * to_row + r] = lanes[l];
      });
    }
    for (size_t i = 0; i < dim; ++i) std::fill(to + i * to_row + rows, to + (i + 1) * to_row, 0.0f);
  }
  // Rows of (rows, dim) as words; where they are not so already, in `scratch`, with `row` words between them.
  static const float* AsWords(const float* from, size_t stride, size_t, size_t, float*, size_t& row) {
    row = stride;
    return from;
  }
  static const float* AsWords(const Bf16* from, size_t stride, size_t rows, size_t dim, float* scratch, size_t& row) {
    row = dim;
    Across(from, stride, rows, dim, scratch, dim);
    return scratch;
  }
  static const float* RowsOf(const float* from, size_t, size_t, size_t, float*) { return from; }
  static const float* ColumnsOf(const float* from, size_t, size_t, size_t, float*) { return from; }
};

#include "models/engine/cpu/product-inl.h"

}  // namespace float_words

#if LORA_BF16_PAIRS
#pragma GCC push_options
#pragma GCC target("avx512bf16")
namespace bf16_words {

// A word is two neighbours along the contraction, the first in the lower half.
struct Words {
  static constexpr size_t kStep = 2;
  static HWY_INLINE Wide Dot(Wide a, Wide b, Wide sum) {
    return Wide{_mm512_dpbf16_ps(sum.raw, reinterpret_cast<__m512bh>(a.raw), reinterpret_cast<__m512bh>(b.raw))};
  }

  // (rows, dim/2): neighbours lie side by side already.
  static void Across(const Bf16* from, size_t stride, size_t rows, size_t dim, float* to, size_t to_row) {
    for (size_t r = 0; r < rows; ++r) std::memcpy(to + r * to_row, from + r * stride, dim * sizeof(Bf16));
  }
  // (rows/2, dim): row 2i with row 2i + 1; zeros after the last and up to whole vectors.
  static void Down(const Bf16* from, size_t stride, size_t rows, size_t dim, float* to, size_t to_row) {
    auto* words = reinterpret_cast<uint32_t*>(to);
    for (size_t r = 0; r < rows; r += 2, words += to_row) {
      const Bf16* const low = from + r * stride;
      const Bf16* const high = r + 1 < rows ? low + stride : nullptr;
      for (size_t i = 0; i < dim; ++i) {
        words[i] = low[i].bits | (high ? static_cast<uint32_t>(high[i].bits) << 16 : 0u);
      }
      std::fill(words + dim, words + to_row, 0u);
    }
  }
  // (dim/2, rows): pairs of neighbours, transposed; zeros up to whole vectors.
  static void Transposed(const Bf16* from, size_t stride, size_t rows, size_t dim, float* to, size_t to_row) {
    const WholeBlocks done =
        stride % 2 == 0 ? TransposeWholeBlocks(from, stride / 2, {rows, dim / 2}, to, to_row) : WholeBlocks();
    for (size_t r = 0; r < rows; ++r) {
      const Bf16* const row = from + r * stride;
      for (size_t i = r < done.rows ? done.columns : 0; i < dim / 2; ++i)
        std::memcpy(to + i * to_row + r, row + 2 * i, sizeof(float));
    }
    for (size_t i = 0; i < dim / 2; ++i) std::fill(to + i * to_row + rows, to + (i + 1) * to_row, 0.0f);
  }
  static const float* RowsOf(const float* from, size_t rows, size_t width, size_t row, float* words) {
    const Lanes d;
    for (size_t r = 0; r < rows; ++r) {
      auto* const to = reinterpret_cast<Bf16*>(words + r * (row / 2));
      for (size_t i = 0; i < width; i += hn::Lanes(d)) StoreFloats(d, hn::LoadU(d, from + r * row + i), to + i);
    }
    return words;
  }
  static const float* ColumnsOf(const float* from, size_t rows, size_t width, size_t row, float* words) {
    const Lanes d;
    const hn::Rebind<uint32_t, Lanes> bits;
    for (size_t r = 0; r < rows; r += 2) {
      const float* const low = from + r * row;
      for (size_t i = 0; i < width; i += hn::Lanes(d)) {
        auto word = hn::ShiftRight<16>(RoundedBits(d, hn::LoadU(d, low + i)));
        if (r + 1 < rows) {
          const auto high = RoundedBits(d, hn::LoadU(d, low + row + i));
          word = hn::Or(word, hn::And(high, hn::Set(bits, 0xffff0000u)));
        }
        hn::StoreU(hn::BitCast(d, word), d, words + (r / 2) * row + i);
      }
    }
    return words;
  }
};

#include "models/engine/cpu/product-inl.h"

}  // namespace bf16_words
#pragma GCC pop_options
#endif

// Whether this processor multiplies pairs of bfloat16.
inline bool HasPairs() {
#if LORA_BF16_PAIRS
  return avx512_bf16;
#else
  return false;
#endif
}

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LORA_WORDS_INL_H_
