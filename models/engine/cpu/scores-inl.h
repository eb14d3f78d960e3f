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
