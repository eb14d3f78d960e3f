// What attention does to a row of scores before the softmax: soft cap and masks.

#if defined(LORA_SCORES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_SCORES_INL_H_
#undef LORA_SCORES_INL_H_
#else
#define LORA_SCORES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "models/engine/cpu/attention.h"
#include "models/engine/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr float kNothing = -1e30f;  // the score of a key that the query does not see

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

// Prepare turns the products q·k of query `row`, s (whole), into capped scores, and into kNothing where the query does
// not see the key. `whole` is a multiple of the vector's lanes. Prepared scores times Weight() are the softmax's
// argument.
template <class T>
struct ScoreRow {
  const AttentionHead<T>& head;

  float Weight() const { return head.softcap == 0 ? head.scale : 1.0f; }

  template <class D>
  void Prepare(D d, size_t row, size_t whole, float* s) const {
    if (head.softcap != 0) {
      const auto inner = hn::Set(d, head.scale / head.softcap), outer = hn::Set(d, head.softcap);
      for (size_t i = 0; i < whole; i += hn::Lanes(d)) {
        hn::StoreU(hn::Mul(outer, Tanh(d, hn::Mul(inner, hn::LoadU(d, s + i)))), d, s + i);
      }
    }
    std::fill(s + row + 1, s + whole, kNothing);
    if (head.window != 0 && row >= head.window) std::fill_n(s, row + 1 - head.window, kNothing);
  }

  // The derivative of a prepared score by q·k.
  template <class D, class V>
  V Slope(D d, V score) const {
    const auto scale = hn::Set(d, head.scale);
    if (head.softcap == 0) return scale;
    // The score of an unseen key is bounded, so that the slope is 0 instead of infinite; its probability is 0.
    const auto t = hn::Mul(hn::Max(score, hn::Set(d, -head.softcap)), hn::Set(d, 1.0f / head.softcap));
    return hn::NegMulAdd(hn::Mul(t, t), scale, scale);
  }
};

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LORA_SCORES_INL_H_
