// Rows of a weight as vectors of Words (words-inl.h), decoded in registers (see row_product.h). Each source gives kParts
// vectors at a time, in the order in which x is laid out for it. Here those of float32; row_pairs-inl.h has the others.

#if defined(LORA_ROW_SOURCES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_ROW_SOURCES_INL_H_
#undef LORA_ROW_SOURCES_INL_H_
#else
#define LORA_ROW_SOURCES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "models/engine/cpu/quantized.h"
#include "models/engine/cpu/row_product.h"
#include "models/engine/cpu/words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

// Fetches the line that lies as far behind `at` as arrives while a line travels. Past the end of the weight that does
// nothing. Into the second cache: an EPYC reads weights at half of the speed where they are fetched into the first one.
HWY_INLINE void FetchAhead(const void* at) {
  constexpr size_t kBytes = 8192;
  __builtin_prefetch(static_cast<const char*>(at) + kBytes, 0, 2);
}

template <class T>
struct RowPointer {
  const T* row = nullptr;
  RowPointer() = default;
  RowPointer(const RowWeight& w, size_t output) : row(static_cast<const T*>(w.values) + output * w.in) {}
  HWY_INLINE void Prefetch(size_t k) const { FetchAhead(row + k); }
  HWY_INLINE float Step() const { return 1.0f; }
};

struct FloatSource : RowPointer<float> {
  static constexpr size_t kParts = 1;
  static constexpr bool kDecodes = false;
  using Words = FloatWords;
  using RowPointer::RowPointer;
  HWY_INLINE void Load(Lanes d, size_t k, Wide* parts) const { parts[0] = hn::LoadU(d, row + k); }
  float At(size_t k) const { return row[k]; }
};

struct Bf16Source : RowPointer<Bf16> {
  static constexpr size_t kParts = 2;
  static constexpr bool kDecodes = false;
  using Words = FloatWords;
  using RowPointer::RowPointer;
  HWY_INLINE void Load(Lanes d, size_t k, Wide* parts) const {
    const hn::Rebind<uint32_t, Lanes> words;
#if HWY_TARGET == HWY_SCALAR
    uint32_t pair;
    std::memcpy(&pair, row + k, sizeof pair);
    const auto pairs = hn::Set(words, pair);
#else
    const hn::Repartition<uint16_t, Lanes> halves;
    const auto pairs = hn::BitCast(words, hn::LoadU(halves, reinterpret_cast<const uint16_t*>(row + k)));
#endif
    parts[0] = hn::BitCast(d, hn::ShiftLeft<16>(pairs));
    parts[1] = hn::BitCast(d, hn::And(pairs, hn::Set(words, 0xffff0000u)));
  }
  float At(size_t k) const {
    const uint32_t bits = static_cast<uint32_t>(row[k].bits) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
};

struct Int8Source : RowPointer<int8_t> {
  static constexpr size_t kParts = 4;
  static constexpr bool kDecodes = true;
  using Words = FloatWords;
  Int8Source() = default;
  Int8Source(const RowWeight& w, size_t output) : RowPointer(w, output), step(w.scales[output]) {}
  HWY_INLINE Wide Codes(Lanes d, size_t k) const {
    const hn::Rebind<int8_t, Lanes> codes;
    const hn::RebindToSigned<Lanes> whole;
    return hn::ConvertTo(d, hn::PromoteTo(whole, hn::LoadU(codes, row + k)));
  }
  HWY_INLINE void Load(Lanes d, size_t k, Wide* parts) const {
    for (size_t p = 0; p < kParts; ++p) parts[p] = Codes(d, k + p * hn::Lanes(d));
  }
  float At(size_t k) const { return static_cast<float>(row[k]); }
  HWY_INLINE float Step() const { return step; }
  float step = 0;
};

// v, where kHalf rounded to bfloat16.
template <bool kHalf, class D>
HWY_INLINE hn::Vec<D> Counted(D d, hn::Vec<D> v) {
  if (!kHalf) return v;
  const hn::Rebind<uint32_t, D> words;
  return hn::BitCast(d, hn::And(RoundedBits(d, v), hn::Set(words, 0xffff0000u)));
}

// The sixteen levels times the scale of a block, and a level of each lane's lower four bits.
template <bool kHalf>
struct ScaledLevels {
#if HWY_MAX_BYTES >= 64 && HWY_TARGET <= HWY_AVX3
  HWY_INLINE void Scale(Lanes d, float scale) {
    all = Counted<kHalf>(d, hn::Mul(hn::LoadU(d, kNf4Levels.data()), hn::Set(d, scale)));
  }
  HWY_INLINE Wide Of(Lanes, hn::Vec<hn::RebindToSigned<Lanes>> code) const {
    return Wide{_mm512_permutexvar_ps(code.raw, all.raw)};  // reads four bits
  }
  Wide all;
#elif HWY_TARGET == HWY_AVX2
  HWY_INLINE void Scale(Lanes d, float scale) {
    low = Counted<kHalf>(d, hn::Mul(hn::LoadU(d, kNf4Levels.data()), hn::Set(d, scale)));
    high = Counted<kHalf>(d, hn::Mul(hn::LoadU(d, kNf4Levels.data() + 8), hn::Set(d, scale)));
  }
  HWY_INLINE Wide Of(Lanes, hn::Vec<hn::RebindToSigned<Lanes>> code) const {
    const __m256 a = _mm256_permutevar8x32_ps(low.raw, code.raw), b = _mm256_permutevar8x32_ps(high.raw, code.raw);
    return Wide{_mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32(code.raw, 28)))};
  }
  Wide low, high;
#else
  HWY_INLINE void Scale(Lanes, float s) { scale = s; }
  HWY_INLINE Wide Of(Lanes d, hn::Vec<hn::RebindToSigned<Lanes>> code) const {
    const hn::RebindToSigned<Lanes> whole;
    const auto index = hn::And(code, hn::Set(whole, 15));
    return Counted<kHalf>(d, hn::Mul(hn::GatherIndex(d, kNf4Levels.data(), index), hn::Set(d, scale)));
  }
  float scale;
#endif
};

template <bool kHalf>
struct Nf4Source {
  static constexpr size_t kParts = 64 / hn::MaxLanes(Lanes());  // one block
  static constexpr bool kDecodes = true;
  using Words = FloatWords;
  Nf4Source() = default;
  Nf4Source(const RowWeight& w, size_t output)
      : row(static_cast<const uint8_t*>(w.values) + output * w.in / 2),
        scales(w.scales + output * (w.in / kNf4Block)) {}
  HWY_INLINE void Prefetch(size_t k) const { FetchAhead(row + k / 2); }
  HWY_INLINE void Load(Lanes d, size_t k, Wide* parts) const {
    const hn::Rebind<uint8_t, Lanes> bytes;
    const hn::RebindToSigned<Lanes> whole;
    ScaledLevels<kHalf> levels;
    levels.Scale(d, scales[k / kNf4Block]);
    for (size_t p = 0; p < kParts; p += 2) {
      const auto pairs = hn::PromoteTo(whole, hn::LoadU(bytes, row + k / 2 + p / 2 * hn::Lanes(d)));
      parts[p] = levels.Of(d, hn::ShiftRight<4>(pairs));
      parts[p + 1] = levels.Of(d, pairs);
    }
  }
  HWY_INLINE float Step() const { return 1.0f; }
  const uint8_t* row = nullptr;
  const float* scales = nullptr;
};

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LORA_ROW_SOURCES_INL_H_
