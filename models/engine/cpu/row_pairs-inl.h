// Rows of a weight as pairs of bfloat16, for processors with AVX512-BF16 (see row_product.h). Load gives 32 columns in their
// order, as a row of an A tile of AMX has them too. Codes of int8 are bfloat16 without rounding.

#if defined(LORA_ROW_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_ROW_PAIRS_INL_H_
#undef LORA_ROW_PAIRS_INL_H_
#else
#define LORA_ROW_PAIRS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "models/engine/cpu/quantized.h"
#include "models/engine/cpu/row_product.h"
#include "models/engine/cpu/row_sources-inl.h"
#include "models/engine/cpu/words-inl.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

// Two vectors of float32 rounded to bfloat16, as 32 columns.
HWY_INLINE Wide RoundedPairs(Wide first, Wide second) {
  __m512i both;
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(both) : "v"(first.raw), "v"(second.raw));
  return Wide{_mm512_castsi512_ps(both)};
}

struct Bf16Pairs : Bf16Source {
  static constexpr size_t kParts = 1;
  using Words = PairWords;
  using Bf16Source::Bf16Source;
  HWY_INLINE void Load(Lanes d, size_t k, Wide* parts) const {
    parts[0] = hn::LoadU(d, reinterpret_cast<const float*>(row + k));
  }
};

struct Int8Pairs : Int8Source {
  static constexpr size_t kParts = 1;
  using Words = PairWords;
  using Int8Source::Int8Source;
  HWY_INLINE void Load(Lanes d, size_t k, Wide* parts) const { parts[0] = RoundedPairs(Codes(d, k), Codes(d, k + 16)); }
  static constexpr size_t RowBytes(size_t columns) { return columns; }
};

struct Nf4Pairs : Nf4Source<true> {
  static constexpr size_t kParts = 2;  // one block
  using Words = PairWords;
  using Nf4Source::Nf4Source;
  HWY_INLINE void Load(Lanes d, size_t k, Wide* parts) const {
    // The bytes of the codes of eight columns twice each, as 16 bits, in each quarter.
    alignas(64) static constexpr uint8_t kBytes[64] = {
        0,  128, 0,  128, 1,  128, 1,  128, 2,  128, 2,  128, 3,  128, 3,  128, 4,  128, 4,  128, 5,  128,
        5,  128, 6,  128, 6,  128, 7,  128, 7,  128, 8,  128, 8,  128, 9,  128, 9,  128, 10, 128, 10, 128,
        11, 128, 11, 128, 12, 128, 12, 128, 13, 128, 13, 128, 14, 128, 14, 128, 15, 128, 15, 128};
    const __m512i bytes = _mm512_load_si512(kBytes), shifts = _mm512_set1_epi32(4);  // of even columns by 4
    // An index has five bits, of which the fifth is another code's: the levels are there twice.
    const Wide levels = hn::Mul(hn::LoadU(d, kNf4Levels.data()), hn::Set(d, scales[k / kNf4Block]));
    const __m512i table = _mm512_castps_si512(RoundedPairs(levels, levels).raw);
    const uint8_t* const codes = row + k / 2;
    for (size_t p = 0; p < kParts; ++p) {
      const __m512i read = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + p * 16)));
      const __m512i index = _mm512_srlv_epi16(_mm512_shuffle_epi8(read, bytes), shifts);
      parts[p] = Wide{_mm512_castsi512_ps(_mm512_permutexvar_epi16(index, table))};
    }
  }
  static constexpr size_t RowBytes(size_t columns) { return columns / 2; }
};

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_ROW_PAIRS_INL_H_
