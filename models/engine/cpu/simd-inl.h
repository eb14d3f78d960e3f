// Loads, stores and loops that every kernel uses. Highway includes the sources of kernels, and with them each -inl.h,
// once an instruction set.

#if defined(LORA_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_SIMD_INL_H_
#undef LORA_SIMD_INL_H_
#else
#define LORA_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "models/engine/cpu/bf16.h"
#include "models/engine/cpu/processor.h"

// Whether this inclusion compiles for AVX-512, with inline assembly for what is younger than Highway's AVX3 target:
// AVX512-BF16 and AMX.
#undef LORA_AVX512
#if HWY_ARCH_X86_64 && (HWY_COMPILER_GCC_ACTUAL || HWY_COMPILER_CLANG) && HWY_TARGET <= HWY_AVX3
#define LORA_AVX512 1
#else
#define LORA_AVX512 0
#endif

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using OneFloat = hn::CappedTag<float, 1>;
using Vec = hn::Vec<Floats>;

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const float* from) {
  return hn::LoadU(d, from);
}

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const Bf16* from) {
  const hn::Rebind<uint16_t, D> half;
  const hn::Rebind<uint32_t, D> whole;
  const auto bits = hn::LoadU(half, reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(whole, bits)));
}

// The bits of v rounded to the nearest bfloat16, ties to even. The bfloat16 is the upper half of each word.
template <class D>
HWY_INLINE hn::Vec<hn::Rebind<uint32_t, D>> RoundedBits(D d, hn::Vec<D> v) {
  const hn::Rebind<uint32_t, D> whole;
  (void)d;
  const auto bits = hn::BitCast(whole, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(whole, 1u));
  return hn::Add(bits, hn::Add(odd, hn::Set(whole, 0x7fffu)));
}

template <class D>
HWY_INLINE void StoreFloats(D d, hn::Vec<D> v, float* to) {
  hn::StoreU(v, d, to);
}

template <class D>
HWY_INLINE void StoreFloats(D d, hn::Vec<D> v, Bf16* to) {
#if LORA_AVX512
  if constexpr (sizeof(v) == 64) {
    if (avx512_bf16) {
      __m256i rounded;
      asm("vcvtneps2bf16 %1, %0" : "=v"(rounded) : "v"(v.raw));
      return _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), rounded);
    }
  }
#endif
  const hn::Rebind<uint16_t, D> half;
  hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(RoundedBits(d, v))), half, reinterpret_cast<uint16_t*>(to));
}

// e^x for x <= 88, with a relative error of 8e-8. It is 0 for NaN, and below -87, where float32 begins to lose digits.
// x = n · log 2 + r with |r| <= log(2) / 2; e^r is a minimax polynomial of degree 6 with an error of 3e-9.
// It takes half of the instructions of Highway's Exp, which also gives subnormal numbers.
template <class D>
HWY_INLINE hn::Vec<D> Exp(D d, hn::Vec<D> x) {
  const hn::Rebind<int32_t, D> whole;
  const auto shift = hn::Set(d, 12582912.0f);  // 1.5 · 2^23: a sum with it is rounded to a whole number
  const auto shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), shift);
  const auto n = hn::Sub(shifted, shift);
  const auto r = hn::MulAdd(n, hn::Set(d, -1.42860677e-6f), hn::MulAdd(n, hn::Set(d, -0.693145752f), x));
  auto p = hn::MulAdd(r, hn::Set(d, 1.38145988e-3f), hn::Set(d, 8.36871658e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.16683890e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.66665211e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.99999940e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  const auto power = hn::ShiftLeft<23>(hn::BitCast(whole, shifted));
  const auto y = hn::BitCast(d, hn::Add(hn::BitCast(whole, p), power));
  return hn::IfThenElseZero(hn::Ge(x, hn::Set(d, -87.0f)), y);
}

// tanh x with a relative error of 3e-7: 1 − 2 / (1 + e²ˣ), or near zero, where that loses digits, a Taylor polynomial.
template <class D>
HWY_INLINE hn::Vec<D> Tanh(D d, hn::Vec<D> x) {
  const auto one = hn::Set(d, 1.0f), two = hn::Set(d, 2.0f), most = hn::Set(d, 20.0f);
  const auto bounded = hn::Min(hn::Max(x, hn::Neg(most)), most);
  const auto far = hn::Sub(one, hn::Div(two, hn::Add(one, Exp(d, hn::Mul(two, bounded)))));
  const auto xx = hn::Mul(x, x);
  auto near = hn::Set(d, 62.0f / 2835.0f);
  for (const float c : {-17.0f / 315.0f, 2.0f / 15.0f, -1.0f / 3.0f, 1.0f}) near = hn::MulAdd(near, xx, hn::Set(d, c));
  return hn::IfThenElse(hn::Lt(hn::Abs(x), hn::Set(d, 0.25f)), hn::Mul(near, x), far);
}

// Calls f(tag, i) over [0, n): for whole vectors, then for each element that remains.
template <class F>
HWY_INLINE void ForEach(size_t n, F f) {
  const Floats d;
  const OneFloat one;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) f(d, i);
  for (; i < n; ++i) f(one, i);
}

// The sum over [0, n) of f(tag, i).
template <class F>
HWY_INLINE float SumOf(size_t n, F f) {
  const Floats d;
  const OneFloat one;
  const size_t lanes = hn::Lanes(d);
  Vec wide = hn::Zero(d);
  auto narrow = hn::Zero(one);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) wide = hn::Add(wide, f(d, i));
  for (; i < n; ++i) narrow = hn::Add(narrow, f(one, i));
  return hn::GetLane(hn::SumOfLanes(d, wide)) + hn::GetLane(narrow);
}

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LORA_SIMD_INL_H_
