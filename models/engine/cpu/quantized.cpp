#include "models/engine/cpu/quantized.h"

#include <algorithm>

#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/quantized.cpp"
#include <hwy/foreach_target.h>
// What follows is compiled once an instruction set.
#include <hwy/highway.h>

#include "models/engine/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

// The largest magnitude of values (n); false where one is not finite.
bool LargestMagnitude(const float* values, size_t n, float* largest) {
  const Floats d;
  const OneFloat one;
  Vec most = hn::Zero(d), odd = hn::Zero(d);
  auto most_left = hn::Zero(one), odd_left = hn::Zero(one);
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const Vec v = hn::LoadU(d, values + i);
    most = hn::Max(most, hn::Abs(v));
    odd = hn::MulAdd(v, hn::Zero(d), odd);  // 0 · v is 0 where v is finite, else NaN
  }
  for (; i < n; ++i) {
    const auto v = hn::LoadU(one, values + i);
    most_left = hn::Max(most_left, hn::Abs(v));
    odd_left = hn::MulAdd(v, hn::Zero(one), odd_left);
  }
  *largest = std::max(hn::GetLane(hn::MaxOfLanes(d, most)), hn::GetLane(most_left));
  return hn::GetLane(hn::SumOfLanes(d, odd)) + hn::GetLane(odd_left) == 0.0f;
}

template <class D>
HWY_INLINE hn::Vec<hn::RebindToSigned<D>> NearestLevel(D d, hn::Vec<D> v) {
  const hn::RebindToSigned<D> whole;
  auto code = hn::Zero(whole);
  for (size_t i = 0; i + 1 < kNf4Levels.size(); ++i) {
    const auto above = hn::Gt(v, hn::Set(d, (kNf4Levels[i] + kNf4Levels[i + 1]) / 2));
    code = hn::Sub(code, hn::VecFromMask(whole, hn::RebindMask(whole, above)));  // a true lane is −1
  }
  return code;
}

bool Nf4Encode(const float* values, size_t n, uint8_t* codes, float* scales) {
  bool finite = true;
  for (size_t begin = 0; begin < n; begin += kNf4Block, values += kNf4Block, codes += kNf4Block / 2) {
    const size_t count = std::min(kNf4Block, n - begin);
    float& scale = scales[begin / kNf4Block];
    finite &= LargestMagnitude(values, count, &scale);
    const float inverse = 1.0f / std::max(scale, 1e-38f);  // a block of zeros stays zeros
    int32_t found[kNf4Block + 1];
    ForEach(count, [&](auto d, size_t i) HWY_ATTR {
      const auto v = hn::Mul(hn::LoadU(d, values + i), hn::Set(d, inverse));
      hn::StoreU(NearestLevel(d, v), hn::RebindToSigned<decltype(d)>(), found + i);
    });
    found[count] = 7;  // the level 0, which pads an odd count
    for (size_t i = 0; i < count; i += 2) codes[i / 2] = static_cast<uint8_t>(found[i] << 4 | found[i + 1]);
  }
  return finite;
}

// levels[index] in each lane; levels: 16 floats.
template <class D>
HWY_INLINE hn::Vec<D> Levels(D d, const float* levels, hn::Vec<hn::RebindToSigned<D>> index) {
#if HWY_MAX_BYTES == 64 && !HWY_HAVE_SCALABLE
  return hn::TableLookupLanes(hn::LoadU(d, levels), hn::IndicesFromVec(d, index));
#else
  return hn::GatherIndex(d, levels, index);
#endif
}

// Where Highway emulates vectors, the scalar loop decodes everything.
constexpr bool kHasVectors = HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR;

template <class T>
void Nf4Decode(const uint8_t* codes, const float* scales, T* values, size_t n) {
  const hn::CappedTag<float, 16> d;
  const hn::Rebind<uint8_t, decltype(d)> nibbles;
  const hn::RebindToSigned<decltype(d)> whole;
  const hn::Repartition<uint16_t, decltype(nibbles)> pairs;
  const hn::Rebind<uint8_t, decltype(pairs)> bytes;
  const OneFloat one;
  const size_t lanes = hn::Lanes(d);
  for (size_t begin = 0; begin < n; begin += kNf4Block, codes += kNf4Block / 2, values += kNf4Block) {
    const size_t count = std::min(kNf4Block, n - begin);
    const float scale = scales[begin / kNf4Block];
    size_t i = 0;
    for (; kHasVectors && i + lanes <= count; i += lanes) {
      const auto packed = hn::PromoteTo(pairs, hn::LoadU(bytes, codes + i / 2));
      const auto apart = hn::Or(hn::ShiftRight<4>(packed), hn::ShiftLeft<8>(hn::And(packed, hn::Set(pairs, 15))));
      const auto index = hn::PromoteTo(whole, hn::BitCast(nibbles, apart));
      StoreFloats(d, hn::Mul(Levels(d, kNf4Levels.data(), index), hn::Set(d, scale)), values + i);
    }
    for (; i < count; ++i) {
      const unsigned code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15u;
      StoreFloats(one, hn::Set(one, kNf4Levels[code] * scale), values + i);
    }
  }
}

bool Int8Encode(const float* values, size_t n, int8_t* codes, float* scale) {
  const bool finite = LargestMagnitude(values, n, scale);
  const float inverse = *scale > 0 ? 1.0f / *scale * 127.0f : 0.0f;
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const hn::Rebind<int8_t, decltype(d)> narrow;
    const auto v = hn::Mul(hn::LoadU(d, values + i), hn::Set(d, inverse));
    hn::StoreU(hn::DemoteTo(narrow, hn::NearestInt(v)), narrow, codes + i);
  });
  return finite;
}

template <class T>
void Int8Decode(const int8_t* codes, float scale, T* values, size_t n) {
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const hn::Rebind<int8_t, decltype(d)> narrow;
    const hn::RebindToSigned<decltype(d)> whole;
    const auto code = hn::ConvertTo(d, hn::PromoteTo(whole, hn::LoadU(narrow, codes + i)));
    StoreFloats(d, hn::Mul(hn::Mul(code, hn::Set(d, scale)), hn::Set(d, 1.0f / 127.0f)), values + i);
  });
}

template <class T>
QuantizedKernels<T> Quantized() {
  return {.nf4_encode = Nf4Encode, .nf4_decode = Nf4Decode<T>, .int8_encode = Int8Encode, .int8_decode = Int8Decode<T>};
}
template QuantizedKernels<float> Quantized();
template QuantizedKernels<Bf16> Quantized();

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
