// Rows of a weight as pairs of bfloat16, for processors with AVX512-BF16 (see row_product.h). A part is 32 columns, as a row
// of an A tile of AMX has them too. Codes of int8 are bfloat16 without rounding.

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

// Two vectors of float32 rounded to bfloat16, one behind the other.
HWY_INLINE Wide RoundedPairs(Wide first, Wide second) {
  __m512i both;
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(both) : "v"(first.raw), "v"(second.raw));
  return Wide{_mm512_castsi512_ps(both)};
}

// Columns of x as parts, rounded: 32 in order, or of 64 the even ones before the odd ones.
template <bool kOfPairs>
struct Parts {
  static constexpr size_t kCount = kOfPairs ? 2 : 1;
  Wide of[kCount];
  HWY_INLINE explicit Parts(const float* x) {
    const Lanes d;
    if constexpr (kOfPairs) {
      Wide even[2], odd[2];
      hn::LoadInterleaved2(d, x, even[0], odd[0]);
      hn::LoadInterleaved2(d, x + 32, even[1], odd[1]);
      of[0] = RoundedPairs(even[0], even[1]);
      of[1] = RoundedPairs(odd[0], odd[1]);
    } else {
      of[0] = RoundedPairs(hn::LoadU(d, x), hn::LoadU(d, x + 16));
    }
  }
};

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
  // The 32 even columns of a block, then the odd ones: a byte's upper half is an even column's code.
  HWY_INLINE void Load(Lanes d, size_t k, Wide* parts) const {
    const Wide levels = hn::Mul(hn::LoadU(d, kNf4Levels.data()), hn::Set(d, scales[k / kNf4Block]));
    const __m512i table = _mm512_castps_si512(RoundedPairs(levels, levels).raw);
    const __m512i codes = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + k / 2)));
    // An index has five bits, of which the fifth may be another code's: the levels are there twice.
    parts[0] = Wide{_mm512_castsi512_ps(_mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 4), table))};
    parts[1] = Wide{_mm512_castsi512_ps(_mm512_permutexvar_epi16(codes, table))};
  }
  static constexpr size_t RowBytes(size_t columns) { return columns / 2; }
};

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_ROW_PAIRS_INL_H_
