#include "models/engine/cpu/elementwise.h"

#include <cmath>
#include <span>
#include <type_traits>

#include "models/engine/conventions.h"
#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/elementwise.cpp"
#include <hwy/foreach_target.h>
// What follows is compiled once an instruction set.
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
void RmsNorm(Matrix<const T> x, std::span<const float> w, Matrix<T> y, float eps) {
  const size_t width = w.size();
  const float* const weight = w.data();
  for (size_t r = 0; r < x.rows; ++r) {
    for (size_t c = 0; c < x.columns; c += width) {
      const T* const from = x.row(r) + c;
      T* const to = y.row(r) + c;
      const float scale = InverseRms(from, width, eps);
      ForEach(width, [&](auto d, size_t i) HWY_ATTR {
        StoreFloats(d, hn::Mul(hn::Mul(LoadFloats(d, from + i), hn::Set(d, scale)), LoadFloats(d, weight + i)), to + i);
      });
    }
  }
}

// One norm of one row; base may be null.
template <class T>
HWY_INLINE void RmsNormRowBackward(const T* x, const float* w, const T* dy, const T* base, T* dx, size_t width,
                                   float eps) {
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

template <class T>
void RmsNormBackward(Matrix<const T> x, std::span<const float> w, Matrix<const T> dy, Matrix<const T> base,
                     Matrix<T> dx, float eps) {
  for (size_t r = 0; r < x.rows; ++r) {
    for (size_t c = 0; c < x.columns; c += w.size()) {
      RmsNormRowBackward(x.row(r) + c, w.data(), dy.row(r) + c, base.data ? base.row(r) + c : nullptr, dx.row(r) + c,
                         w.size(), eps);
    }
  }
}

template <class T>
void Rope(Matrix<T> x, size_t dim, Matrix<const float> cos, Matrix<const float> sin, float direction) {
  const size_t half = cos.columns;
  for (size_t r = 0; r < x.rows; ++r) {
    const float* const row_cos = cos.row(r);
    const float* const row_sin = sin.row(r);
    for (size_t h = 0; h < x.columns; h += dim) {
      T* const low = x.row(r) + h;
      T* const high = low + half;
      ForEach(half, [&](auto d, size_t i) HWY_ATTR {
        const auto c = LoadFloats(d, row_cos + i);
        const auto s = hn::Mul(LoadFloats(d, row_sin + i), hn::Set(d, direction));
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
  // Beyond 88 Exp would overflow.
  return hn::Div(one, hn::Add(one, Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0f)))));
}

template <class T>
void Swiglu(Matrix<const T> gu, Matrix<T> y) {
  for (size_t r = 0; r < y.rows; ++r) {
    const T* const gates = gu.row(r);
    const T* const ups = gates + y.columns;
    T* const to = y.row(r);
    ForEach(y.columns, [&](auto d, size_t i) HWY_ATTR {
      const auto g = LoadFloats(d, gates + i), u = LoadFloats(d, ups + i);
      StoreFloats(d, hn::Mul(hn::Mul(g, Sigmoid(d, g)), u), to + i);
    });
  }
}

// x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
template <class D>
HWY_INLINE hn::Vec<D> Gelu(D d, hn::Vec<D> x) {
  const auto inner = hn::MulAdd(hn::Mul(hn::Mul(x, x), x), hn::Set(d, 0.044715f), x);
  const auto half = hn::Mul(x, hn::Set(d, 0.5f));
  return hn::MulAdd(half, Tanh(d, hn::Mul(inner, hn::Set(d, 0.797884561f))), half);
}

template <class T>
void Geglu(Matrix<const T> gu, Matrix<T> y) {
  for (size_t r = 0; r < y.rows; ++r) {
    const T* const gates = gu.row(r);
    const T* const ups = gates + y.columns;
    T* const to = y.row(r);
    ForEach(y.columns, [&](auto d, size_t i) HWY_ATTR {
      StoreFloats(d, hn::Mul(Gelu(d, LoadFloats(d, gates + i)), LoadFloats(d, ups + i)), to + i);
    });
  }
}

template <class T>
void SwigluBackward(Matrix<T> gu, Matrix<T> dy) {
  for (size_t r = 0; r < dy.rows; ++r) {
    T* const gates = gu.row(r);
    T* const ups = gates + dy.columns;
    T* const grads = dy.row(r);
    ForEach(dy.columns, [&](auto d, size_t i) HWY_ATTR {
      const auto g = LoadFloats(d, gates + i), u = LoadFloats(d, ups + i), grad = LoadFloats(d, grads + i);
      const auto s = Sigmoid(d, g);
      const auto silu = hn::Mul(g, s);
      // silu' = s + silu·(1 − s)
      const auto slope = hn::MulAdd(silu, hn::Sub(hn::Set(d, 1.0f), s), s);
      StoreFloats(d, hn::Mul(hn::Mul(grad, u), slope), gates + i);
      StoreFloats(d, hn::Mul(grad, silu), ups + i);
      StoreFloats(d, hn::Mul(silu, u), grads + i);
    });
  }
}

template <class T>
void CrossEntropy(Matrix<T> all_logits, const int64_t* targets, float* losses, bool gradient) {
  const Floats d;
  const OneFloat one;
  const size_t vocabulary = all_logits.columns;
  for (size_t r = 0; r < all_logits.rows; ++r) {
    T* const logits = all_logits.row(r);
    const auto target = static_cast<size_t>(targets[r]);
    const float target_logit = hn::GetLane(LoadFloats(one, logits + target));
    Vec most = hn::Set(d, target_logit);
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
      // Exp(NaN) is 0. 0 · NaN is NaN, so that a loss of NaN logits is NaN too.
      return hn::MulAdd(logit, hn::Zero(tag), Exp(tag, hn::Sub(logit, hn::Set(tag, max))));
    });
    losses[r] = std::log(sum) + (max - target_logit);
    if (!gradient) continue;
    const float inverse = 1.0f / sum;
    ForEach(vocabulary, [&](auto tag, size_t i) HWY_ATTR {
      const auto e = Exp(tag, hn::Sub(LoadFloats(tag, logits + i), hn::Set(tag, max)));
      StoreFloats(tag, hn::Mul(e, hn::Set(tag, inverse)), logits + i);
    });
    // p − 1 from the loss: from the rounded probability it would lose its digits near p = 1.
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

template <class T>
ElementwiseKernels<T> Elementwise() {
  return {.rms_norm = RmsNorm<T>,
          .rms_norm_backward = RmsNormBackward<T>,
          .rope = Rope<T>,
          .swiglu = Swiglu<T>,
          .geglu = Geglu<T>,
          .swiglu_backward = SwigluBackward<T>,
          .cross_entropy = CrossEntropy<T>,
          .dropout = Dropout<T>,
          .store = StoreAll<T>};
}
template ElementwiseKernels<float> Elementwise();
template ElementwiseKernels<Bf16> Elementwise();

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
