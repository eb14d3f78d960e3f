// AMX (Intel, since Sapphire Rapids): a processor's eight tiles of 16 rows by 64 bytes, and the one instruction that
// multiplies bfloat16 pairs of two of them into float32 sums in a third. Compiled for AVX-512, used where amx().
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

#include <cstddef>
#include <cstdint>

#include "models/engine/cpu/blocks-inl.h"
#include "models/engine/cpu/low_rank.h"
#include "models/engine/cpu/processor.h"
#include "models/engine/cpu/simd-inl.h"
#ifdef LORA_EMULATED_AMX
#include "models/engine/cpu/emulated_tiles-inl.h"
#endif

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::tiles {

using namespace blocks;

constexpr size_t kRows = 16, kDepth = 32;  // of a tile: rows, and bfloat16 along the contraction

#ifndef LORA_EMULATED_AMX
// The compilers' intrinsics for these instructions do not say which memory they access.
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

// Configures all eight tiles in full size while it lives.
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
#endif

// 16 float32 as the nearest bfloat16, high, and the remainder as the nearest bfloat16, low, each in the upper halves of
// words. Together they have 16 bits of each number.
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
// The words of B from two rows whose elements are in the upper halves.
HWY_INLINE Word Pair(Word first, Word second) { return hn::Or(hn::ShiftRight<16>(first), second); }

// 16 columns of x as a B tile: 32 rows, or fewer and zeros.
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

// P[k … k + 15][c … c + 15] as two B tiles, of high and of low parts, which hold these 16 rows twice. They multiply the
// A tile [high of x | low of x], so that all four products of high and low parts are summed.
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
#endif  // LORA_AVX512

#endif  // LORA_TILES_INL_H_
