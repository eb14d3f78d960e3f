#include "models/engine/cpu/attention.h"

#include <type_traits>

#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/attention.cpp"
#include <hwy/foreach_target.h>
// What follows is compiled once an instruction set.
#include <hwy/highway.h>

#include "models/engine/cpu/attention_amx-inl.h"
#include "models/engine/cpu/attention_words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

// Calls f with the fastest implementation for the head.
template <class T, class F>
void WithFastest([[maybe_unused]] const AttentionHead<T>& head, F f) {
#if LORA_AVX512
  if constexpr (std::is_same_v<T, Bf16>) {
    if (amx() && head.dim() <= tiles::kMostAmxDim) return f(tiles::AmxAttention());
    if (avx512_bf16) return f(WordAttention<PairWords>());
  }
#endif
  f(WordAttention<FloatWords>());
}

template <class T>
void Pack(const AttentionHead<T>& head, const AttentionPanels& panels, bool backward) {
  WithFastest(head, [&](auto fastest) { fastest.Pack(head, panels, backward); });
}

template <class T>
void Forward(const AttentionHead<T>& head, const AttentionPanels& panels) {
  WithFastest(head, [&](auto fastest) { fastest.Forward(head, panels); });
}

template <class T>
void Backward(const AttentionHead<T>& head, const AttentionPanels& panels) {
  WithFastest(head, [&](auto fastest) { fastest.Backward(head, panels); });
}

template <class T>
AttentionKernels<T> Attention() {
  return {.pack = Pack<T>, .forward = Forward<T>, .backward = Backward<T>};
}
template AttentionKernels<float> Attention();
template AttentionKernels<Bf16> Attention();

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
