#include "models/engine/cpu/elementwise.h"

#include <cmath>
#include <type_traits>

#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/elementwise.cpp"
#include <hwy/foreach_target.h>
// The includes below are made once an instruction set.
#include <hwy/highway.h>

#include "models/engine/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

template <class T>
float InverseRms(const T* x, size_t width, float eps) {
  const float sum = SumOf(width, [&](auto d, size_t i) HWY_ATTR {
    const auto v = LoadFloats(d, x + i);
    return hn::Mul(v, v);
  });
  return 1.0f / std::sqrt(sum / static_cast<float>(width) + eps);
}

template <class T>
void RmsNorm(const T* x, const float* w, T* y, size_t rows, size_t width, float eps) {
  for (size_t r = 0; r < rows; ++r, x += width, y += width) {
    const float scale = InverseRms(x, width, eps);
    ForEach(width, [&](auto d, size_t i) HWY_ATTR {
      StoreFloats(d, hn::Mul(hn::Mul(LoadFloats(d, x + i), hn::Set(d, scale)), LoadFloats(d, w + i)), y + i);
    });
  }
}

template <class T>
void RmsNormBackward(const T* x, const float* w, const T* dy, const T* base, T* dx, size_t rows, size_t width,
                     float eps) {
  for (size_t r = 0; r < rows; ++r, x += width, dy += width, dx += width, base = base ? base + width : base) {
    // With n = x·s: dx = s · (w·dy − n · mean(n · w·dy)).
    const float s = InverseRms(x, width, eps);
    const float dot = SumOf(width, [&](auto d, size_t i) HWY_ATTR {
      return hn::Mul(hn::Mul(LoadFloats(d, x + i), LoadFloats(d, w + i)), LoadFloats(d, dy + i));
    });
    const float along = s * s * s * dot / static_cast<float>(width);
    ForEach(width, [&](auto d, size_t i) HWY_ATTR {
      const auto before = base ? LoadFloats(d, base + i) : hn::Zero(d);
      const auto straight = hn::MulAdd(hn::Mul(LoadFloats(d, w + i), LoadFloats(d, dy + i)), hn::Set(d, s), before);
      StoreFloats(d, hn::NegMulAdd(LoadFloats(d, x + i), hn::Set(d, along), straight), dx + i);
    });
  }
}

template <class T>
void Rope(T* x, size_t stride, const float* cos, const float* sin, size_t rows, size_t heads, size_t dim, size_t turned,
          float direction) {
  const size_t half = turned / 2;
  for (size_t r = 0; r < rows; ++r, x += stride, cos += half, sin += half) {
    for (size_t h = 0; h < heads; ++h) {
      T* low = x + h * dim;
      T* high = low + half;
      ForEach(half, [&](auto d, size_t i) HWY_ATTR {
        const auto c = LoadFloats(d, cos + i);
        const auto s = hn::Mul(LoadFloats(d, sin + i), hn::Set(d, direction));
        const auto a = LoadFloats(d, low + i), b = LoadFloats(d, high + i);
        StoreFloats(d, hn::NegMulAdd(b, s, hn::Mul(a, c)), low + i);
        StoreFloats(d, hn::MulAdd(a, s, hn::Mul(b, c)), high + i);
      });
    }
  }
}

// 1 / (1 + exp(−x))
template <class D>
HWY_INLINE hn::Vec<D> Sigmoid(D d, hn::Vec<D> x) {
  const auto one = hn::Set(d, 1.0f);
  // Beyond 88 the exponential would be infinite and 1/∞ exact anyway; kept finite for the sake of x · 0 below.
  return hn::Div(one, hn::Add(one, Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0f)))));
}

template <class T>
void Swiglu(const T* gu, T* y, size_t rows, size_t width) {
  for (size_t r = 0; r < rows; ++r, gu += 2 * width, y += width) {
    ForEach(width, [&](auto d, size_t i) HWY_ATTR {
      const auto g = LoadFloats(d, gu + i), u = LoadFloats(d, gu + width + i);
      StoreFloats(d, hn::Mul(hn::Mul(g, Sigmoid(d, g)), u), y + i);
    });
  }
}

template <class T>
void SwigluBackward(T* gu, T* dy, size_t rows, size_t width) {
  for (size_t r = 0; r < rows; ++r, gu += 2 * width, dy += width) {
    ForEach(width, [&](auto d, size_t i) HWY_ATTR {
      const auto g = LoadFloats(d, gu + i), u = LoadFloats(d, gu + width + i), grad = LoadFloats(d, dy + i);
      const auto s = Sigmoid(d, g);
      const auto silu = hn::Mul(g, s);
      // silu' = s + silu·(1 − s)
      const auto slope = hn::MulAdd(silu, hn::Sub(hn::Set(d, 1.0f), s), s);
      StoreFloats(d, hn::Mul(hn::Mul(grad, u), slope), gu + i);
      StoreFloats(d, hn::Mul(grad, silu), gu + width + i);
      StoreFloats(d, hn::Mul(silu, u), dy + i);
    });
  }
}

template <class T>
void CrossEntropy(T* logits, const int64_t* targets, float* losses, size_t rows, size_t vocabulary, bool gradient) {
  const Floats d;
  const OneFloat one;
  for (size_t r = 0; r < rows; ++r, logits += vocabulary) {
    const auto target = static_cast<size_t>(targets[r]);
    const float wanted = hn::GetLane(LoadFloats(one, logits + target));
    Vec most = hn::Set(d, wanted);
    ForEach(vocabulary, [&](auto tag, size_t i) HWY_ATTR {
      if constexpr (std::is_same_v<decltype(tag), Floats>) {
        most = hn::Max(most, LoadFloats(tag, logits + i));
      } else {
        most = hn::Max(most, hn::Set(d, hn::GetLane(LoadFloats(tag, logits + i))));
      }
    });
    const float max = hn::GetLane(hn::MaxOfLanes(d, most));
    const float sum = SumOf(vocabulary, [&](auto tag, size_t i) HWY_ATTR {
      const auto logit = LoadFloats(tag, logits + i);
      // Exp takes NaN to 0; 0 · NaN keeps it, so that a loss that is no number is seen to be none.
      return hn::MulAdd(logit, hn::Zero(tag), Exp(tag, hn::Sub(logit, hn::Set(tag, max))));
    });
    losses[r] = std::log(sum) + (max - wanted);
    if (!gradient) continue;
    const float inverse = 1.0f / sum;
    ForEach(vocabulary, [&](auto tag, size_t i) HWY_ATTR {
      const auto e = Exp(tag, hn::Sub(LoadFloats(tag, logits + i), hn::Set(tag, max)));
      StoreFloats(tag, hn::Mul(e, hn::Set(tag, inverse)), logits + i);
    });
    // Not from the rounded probability: near 1 the difference would lose its digits.
    StoreFloats(one, hn::Set(one, std::expm1(-losses[r])), logits + target);
  }
}

// The finalizer of MurmurHash3: every bit of the result depends on every bit of the argument.
template <class V, class D>
HWY_INLINE V Scramble(D d, V h) {
  h = hn::Mul(hn::Xor(h, hn::ShiftRight<16>(h)), hn::Set(d, 0x85ebca6bu));
  h = hn::Mul(hn::Xor(h, hn::ShiftRight<13>(h)), hn::Set(d, 0xc2b2ae35u));
  return hn::Xor(h, hn::ShiftRight<16>(h));
}

template <class T>
void Dropout(const T* from, T* to, size_t n, float p, uint64_t key, uint32_t first) {
  const auto threshold = static_cast<int32_t>(dropout_threshold(p));
  const float scale = 1.0f / (1.0f - p);
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const hn::Rebind<uint32_t, decltype(d)> bits;
    const hn::Rebind<int32_t, decltype(d)> whole;
    auto h = hn::Iota(bits, first + static_cast<uint32_t>(i));
    h = Scramble(bits, hn::Xor(h, hn::Set(bits, static_cast<uint32_t>(key))));
    h = Scramble(bits, hn::Xor(h, hn::Set(bits, static_cast<uint32_t>(key >> 32))));
    const auto dropped = hn::Lt(hn::BitCast(whole, hn::ShiftRight<1>(h)), hn::Set(whole, threshold));
    const auto kept = hn::Mul(LoadFloats(d, from + i), hn::Set(d, scale));
    StoreFloats(d, hn::IfThenZeroElse(hn::RebindMask(d, dropped), kept), to + i);
  });
}

template <class T>
void StoreAll(const float* from, T* to, size_t n) {
  ForEach(n, [&](auto d, size_t i) HWY_ATTR { StoreFloats(d, LoadFloats(d, from + i), to + i); });
}

// One name an element type, for the table that is filled at run time.
#define LORA_FOR_TYPE(T, S)                                                                                         \
  void RmsNorm##S(const T* x, const float* w, T* y, size_t rows, size_t width, float eps) {                         \
    RmsNorm(x, w, y, rows, width, eps);                                                                             \
  }                                                                                                                 \
  void RmsNormBackward##S(const T* x, const float* w, const T* dy, const T* base, T* dx, size_t rows, size_t width, \
                          float eps) {                                                                              \
    RmsNormBackward(x, w, dy, base, dx, rows, width, eps);                                                          \
  }                                                                                                                 \
  void Rope##S(T* x, size_t stride, const float* cos, const float* sin, size_t rows, size_t heads, size_t dim,      \
               size_t turned, float direction) {                                                                    \
    Rope(x, stride, cos, sin, rows, heads, dim, turned, direction);                                                 \
  }                                                                                                                 \
  void Swiglu##S(const T* gu, T* y, size_t rows, size_t width) { Swiglu(gu, y, rows, width); }                      \
  void SwigluBackward##S(T* gu, T* dy, size_t rows, size_t width) { SwigluBackward(gu, dy, rows, width); }          \
  void Dropout##S(const T* from, T* to, size_t n, float p, uint64_t key, uint32_t first) {                          \
    Dropout(from, to, n, p, key, first);                                                                            \
  }                                                                                                                 \
  void StoreAll##S(const float* from, T* to, size_t n) { StoreAll(from, to, n); }                                   \
  void CrossEntropy##S(T* logits, const int64_t* targets, float* losses, size_t rows, size_t vocabulary,            \
                       bool gradient) {                                                                             \
    CrossEntropy(logits, targets, losses, rows, vocabulary, gradient);                                              \
  }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::kernels {

#define LORA_FOR_TYPE(T, S)                                                                                        \
  HWY_EXPORT(RmsNorm##S);                                                                                          \
  HWY_EXPORT(RmsNormBackward##S);                                                                                  \
  HWY_EXPORT(Rope##S);                                                                                             \
  HWY_EXPORT(Swiglu##S);                                                                                           \
  HWY_EXPORT(SwigluBackward##S);                                                                                   \
  HWY_EXPORT(Dropout##S);                                                                                          \
  HWY_EXPORT(StoreAll##S);                                                                                         \
  HWY_EXPORT(CrossEntropy##S);                                                                                     \
  template <>                                                                                                      \
  void rms_norm(const T* x, const float* w, T* y, size_t rows, size_t width, float eps) {                          \
    HWY_DYNAMIC_DISPATCH(RmsNorm##S)(x, w, y, rows, width, eps);                                                   \
  }                                                                                                                \
  template <>                                                                                                      \
  void rms_norm_backward(const T* x, const float* w, const T* dy, const T* base, T* dx, size_t rows, size_t width, \
                         float eps) {                                                                              \
    HWY_DYNAMIC_DISPATCH(RmsNormBackward##S)(x, w, dy, base, dx, rows, width, eps);                                \
  }                                                                                                                \
  template <>                                                                                                      \
  void rope(T* x, size_t stride, const float* cos, const float* sin, size_t rows, size_t heads, size_t dim,        \
            size_t turned, float direction) {                                                                      \
    HWY_DYNAMIC_DISPATCH(Rope##S)(x, stride, cos, sin, rows, heads, dim, turned, direction);                       \
  }                                                                                                                \
  template <>                                                                                                      \
  void swiglu(const T* gu, T* y, size_t rows, size_t width) {                                                      \
    HWY_DYNAMIC_DISPATCH(Swiglu##S)(gu, y, rows, width);                                                           \
  }                                                                                                                \
  template <>                                                                                                      \
  void swiglu_backward(T* gu, T* dy, size_t rows, size_t width) {                                                  \
    HWY_DYNAMIC_DISPATCH(SwigluBackward##S)(gu, dy, rows, width);                                                  \
  }                                                                                                                \
  template <>                                                                                                      \
  void dropout(const T* from, T* to, size_t n, float p, uint64_t key, uint32_t first) {                            \
    HWY_DYNAMIC_DISPATCH(Dropout##S)(from, to, n, p, key, first);                                                  \
  }                                                                                                                \
  template <>                                                                                                      \
  void store(const float* from, T* to, size_t n) {                                                                 \
    HWY_DYNAMIC_DISPATCH(StoreAll##S)(from, to, n);                                                                \
  }                                                                                                                \
  template <>                                                                                                      \
  void cross_entropy(T* logits, const int64_t* targets, float* losses, size_t rows, size_t vocabulary,             \
                     bool gradient) {                                                                              \
    HWY_DYNAMIC_DISPATCH(CrossEntropy##S)(logits, targets, losses, rows, vocabulary, gradient);                    \
  }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels
#endif
