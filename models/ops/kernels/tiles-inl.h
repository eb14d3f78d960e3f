// AMX (Intel, since Sapphire Rapids): a processor's eight tiles of 16 rows by 64 bytes, and the one instruction that
// multiplies bfloat16 pairs of two of them into float32 sums in a third. Included once an instruction set; compiled
// where Highway compiles for AVX-512, used where the processor and the kernel of the system let us.
//
//   A tile: 16 rows of 32 bfloat16 along the contraction.      B tile: 16 pairs along the contraction, 16 columns of
//   each pair as one word, the first of the two in the lower half.      C tile: 16 by 16 float32.

#if defined(LORA_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_TILES_INL_H_
#undef LORA_TILES_INL_H_
#else
#define LORA_TILES_INL_H_
#endif

#include <hwy/highway.h>

#include "models/ops/kernels/low_rank.h"
#include "models/ops/kernels/processor.h"
#include "models/ops/kernels/simd-inl.h"

#undef LORA_AMX
#if HWY_ARCH_X86_64 && (HWY_COMPILER_GCC_ACTUAL || HWY_COMPILER_CLANG) && HWY_TARGET <= HWY_AVX3
#define LORA_AMX 1
#else
#define LORA_AMX 0
#endif

#if LORA_AMX
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::tiles {

constexpr size_t kRows = 16, kDepth = 32;  // of a tile: rows, and bfloat16 along the contraction
constexpr size_t kFloats = 256;            // of memory that a tile fills

// Compilers know these instructions by intrinsics that do not say which memory they touch.
template <int kTile>
HWY_INLINE void Load(const void* from, size_t stride_bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride_bytes), "i"(kTile) : "memory");
}
template <int kTile>
HWY_INLINE void Store(void* to, size_t stride_bytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride_bytes), "i"(kTile) : "memory");
}
template <int kTile>
HWY_INLINE void Zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
// C += A · B.
template <int kC, int kA, int kB>
HWY_INLINE void Dot() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
}

// All eight tiles are whole while this lives.
class Scope {
 public:
  Scope() {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } shape;
    asm volatile("ldtilecfg %0" ::"m"(shape));
  }
  ~Scope() { asm volatile("tilerelease"); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
};

using D = hn::CappedTag<float, 16>;
using W = hn::CappedTag<uint32_t, 16>;
using Word = hn::Vec<W>;

// 16 float32 as the bfloat16 nearest to them, in the upper halves of words, and what these leave over likewise. The
// two together carry 16 bits of each number.
struct Split {
  Word high, low;
};
HWY_INLINE Split SplitFloats(hn::Vec<D> v) {
  const D d;
  const W w;
  const Word upper = hn::Set(w, 0xffff0000u);
  const Word high = hn::And(RoundedBits(d, v), upper);
  return {high, hn::And(RoundedBits(d, hn::Sub(v, hn::BitCast(d, high))), upper)};
}
// The words of B from two rows of upper halves.
HWY_INLINE Word Pair(Word first, Word second) { return hn::Or(hn::ShiftRight<16>(first), second); }

// 32 rows (or fewer, the others then being zeros) of 16 columns of x as a B tile.
HWY_INLINE void PairRows(const Bf16* x, size_t x_stride, size_t rows, float* tile) {
  const W w;
  const hn::Rebind<uint16_t, W> half;
  const auto row = [&](size_t r) HWY_ATTR {
    return r < rows ? hn::PromoteTo(w, hn::LoadU(half, reinterpret_cast<const uint16_t*>(x + r * x_stride)))
                    : hn::Zero(w);
  };
  for (size_t i = 0; i < kRows; ++i) {
    hn::StoreU(hn::Or(row(2 * i), hn::ShiftLeft<16>(row(2 * i + 1))), w, reinterpret_cast<uint32_t*>(tile) + i * 16);
  }
}

// Which of two rows' 32 elements each make up the pairs of their first 16 columns, and those of the others.
struct Pairs {
  __m512i first, second;
};
HWY_INLINE Pairs PairOrder() {
  alignas(64) static constexpr uint16_t kFirst[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                      8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i first = _mm512_load_si512(kFirst);
  return {first, _mm512_add_epi16(first, _mm512_set1_epi16(16))};
}

// 32 rows of 32 · blocks columns of x as B tiles, two a block, the blocks' tiles so many floats apart; a pair of rows
// after the other.
HWY_INLINE void PairWholeRows(const Bf16* x, size_t x_stride, size_t blocks, float* tiles, size_t block_floats) {
  const auto [first, second] = PairOrder();
  for (size_t i = 0; i < kRows; ++i, x += 2 * x_stride) {
    for (size_t b = 0; b < blocks; ++b) {
      const __m512i upper = _mm512_loadu_si512(x + b * 32), lower = _mm512_loadu_si512(x + x_stride + b * 32);
      float* const to = tiles + b * block_floats + i * 16;
      _mm512_storeu_si512(to, _mm512_permutex2var_epi16(upper, first, lower));
      _mm512_storeu_si512(to + kFloats, _mm512_permutex2var_epi16(upper, second, lower));
    }
  }
}

// 16 rows of 16 words as 16 columns: rows of M as columns of a B tile, or a C tile turned round.
HWY_INLINE void TransposeTile(const void* from, size_t row_words, void* to, size_t to_words = 16) {
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

// 16 numbers P[k][c …], zeros beyond the matrix.
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

// P[k … k + 15][c … c + 15] as rows so many floats apart, zeros beyond the matrix.
HWY_INLINE void LayBlock(const LowRankMatrix& p, size_t k, size_t c, float* to, size_t to_row) {
  const D d;
  if (p.row_stride == 1 && k + 16 <= p.depth && c + 16 <= p.columns) {
    TransposeTile(p.m + c * p.column_stride + k, p.column_stride, to, to_row);
    if (p.scale == 1) return;
    const auto scale = hn::Set(d, p.scale);
    for (size_t i = 0; i < 16; ++i) hn::StoreU(hn::Mul(hn::LoadU(d, to + i * to_row), scale), d, to + i * to_row);
  } else {
    for (size_t i = 0; i < 16; ++i) hn::StoreU(RowOf(p, k + i, c), d, to + i * to_row);
  }
}

// The same block as two B tiles, of high and of low parts, whose rows are those 16 twice: they meet the A tile
// [high of x | low of x], so that all four products of the two halves are summed.
HWY_INLINE void SplitBlock(const LowRankMatrix& p, size_t k, size_t c, float* high, float* low) {
  const D d;
  const W w;
  alignas(64) float rows[16 * 16];
  LayBlock(p, k, c, rows, 16);
  for (size_t i = 0; i < 8; ++i) {
    const Split a = SplitFloats(hn::Load(d, rows + 2 * i * 16)), b = SplitFloats(hn::Load(d, rows + (2 * i + 1) * 16));
    for (const size_t to : {i, i + 8}) {
      hn::StoreU(Pair(a.high, b.high), w, reinterpret_cast<uint32_t*>(high) + to * 16);
      hn::StoreU(Pair(a.low, b.low), w, reinterpret_cast<uint32_t*>(low) + to * 16);
    }
  }
}

}  // namespace lora::kernels::HWY_NAMESPACE::tiles
HWY_AFTER_NAMESPACE();
#endif  // LORA_AMX

#endif  // LORA_TILES_INL_H_
