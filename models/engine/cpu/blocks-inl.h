// Blocks of 16 by 16 words in the registers of AVX-512, from which products on vectors and on AMX's tiles read their
// inputs. A word is a float32, or two neighbouring bfloat16, the first in the lower half.

#if defined(LORA_BLOCKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_BLOCKS_INL_H_
#undef LORA_BLOCKS_INL_H_
#else
#define LORA_BLOCKS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "models/engine/cpu/low_rank.h"
#include "models/engine/cpu/simd-inl.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::blocks {

constexpr size_t kFloats = 256;  // in a block

using D = hn::CappedTag<float, 16>;
using W = hn::CappedTag<uint32_t, 16>;
using Word = hn::Vec<W>;

// Permutations of two rows of 32 elements: `first` pairs up their first 16 columns, `second` the other 16.
struct Pairs {
  __m512i first, second;
};
HWY_INLINE Pairs PairOrder() {
  alignas(64) static constexpr uint16_t kFirst[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                      8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i first = _mm512_load_si512(kFirst);
  return {first, _mm512_add_epi16(first, _mm512_set1_epi16(16))};
}

// sum += a · b, over both bfloat16 of each word. For processors with AVX512-BF16.
HWY_INLINE void DotPairs(hn::Vec<D>& sum, Word a, Word b) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
}

// 32 rows of 32 · count columns of x as pairs of rows: two blocks of 16 by 16 words for each 32 columns, block_floats
// apart.
HWY_INLINE void PairWholeRows(const Bf16* x, size_t x_stride, size_t count, float* blocks, size_t block_floats) {
  const auto [first, second] = PairOrder();
  for (size_t i = 0; i < 16; ++i, x += 2 * x_stride) {
    for (size_t b = 0; b < count; ++b) {
      const __m512i upper = _mm512_loadu_si512(x + b * 32), lower = _mm512_loadu_si512(x + x_stride + b * 32);
      float* const to = blocks + b * block_floats + i * 16;
      _mm512_storeu_si512(to, _mm512_permutex2var_epi16(upper, first, lower));
      _mm512_storeu_si512(to + kFloats, _mm512_permutex2var_epi16(upper, second, lower));
    }
  }
}

// Transposes 16 rows of 16 words, row_words apart in `from`, to_words apart in `to`.
HWY_INLINE void TransposeBlock(const void* from, size_t row_words, void* to, size_t to_words = 16) {
  const auto* const rows = static_cast<const uint32_t*>(from);
  auto* const columns = static_cast<uint32_t*>(to);
  __m512i r[16], t[16];
  for (size_t i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(rows + i * row_words);
  for (size_t i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (size_t i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // r[4·b + j] holds, in its q-th quarter, column 4·q + j of rows 4·b … 4·b + 3.
  for (size_t j = 0; j < 4; ++j) {
    const __m512i low = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88),
                  low2 = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
    const __m512i high = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd),
                  high2 = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
    _mm512_storeu_si512(columns + (0 + j) * to_words, _mm512_shuffle_i32x4(low, low2, 0x88));
    _mm512_storeu_si512(columns + (4 + j) * to_words, _mm512_shuffle_i32x4(high, high2, 0x88));
    _mm512_storeu_si512(columns + (8 + j) * to_words, _mm512_shuffle_i32x4(low, low2, 0xdd));
    _mm512_storeu_si512(columns + (12 + j) * to_words, _mm512_shuffle_i32x4(high, high2, 0xdd));
  }
}

// P[k][c … c + 15]; zeros beyond the matrix.
HWY_INLINE hn::Vec<D> RowOf(const LowRankMatrix& p, size_t k, size_t c) {
  const D d;
  if (k >= p.depth || c >= p.columns) return hn::Zero(d);
  const size_t n = HWY_MIN(size_t{16}, p.columns - c);
  const float* const from = p.m + k * p.row_stride + c * p.column_stride;
  const auto scale = hn::Set(d, p.scale);
  if (n == 16 && p.column_stride == 1) return hn::Mul(hn::LoadU(d, from), scale);
  HWY_ALIGN float row[16] = {};
  for (size_t i = 0; i < n; ++i) row[i] = from[i * p.column_stride];
  return hn::Mul(hn::Load(d, row), scale);
}

// P[k … k + 15][c … c + 15] as rows to_row floats apart; zeros beyond the matrix.
HWY_INLINE void LayBlock(const LowRankMatrix& p, size_t k, size_t c, float* to, size_t to_row) {
  const D d;
  if (p.row_stride == 1 && k + 16 <= p.depth && c + 16 <= p.columns) {
    TransposeBlock(p.m + c * p.column_stride + k, p.column_stride, to, to_row);
    if (p.scale == 1) return;
    const auto scale = hn::Set(d, p.scale);
    for (size_t i = 0; i < 16; ++i) hn::StoreU(hn::Mul(hn::LoadU(d, to + i * to_row), scale), d, to + i * to_row);
  } else {
    for (size_t i = 0; i < 16; ++i) hn::StoreU(RowOf(p, k + i, c), d, to + i * to_row);
  }
}

}  // namespace lora::kernels::HWY_NAMESPACE::blocks
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_BLOCKS_INL_H_
