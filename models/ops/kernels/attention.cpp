#include "models/ops/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "models/ops/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/ops/kernels/attention.cpp"
#include <hwy/foreach_target.h>
// The includes below are made once an instruction set.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "models/ops/kernels/words-inl.h"

#ifndef LORA_ATTENTION_CONSTANTS
#define LORA_ATTENTION_CONSTANTS
namespace lora::kernels {
constexpr size_t kQueryBlock = 32;
constexpr float kNothing = -1e30f;  // the score of a key that is not seen
}  // namespace lora::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

namespace float_words {
#include "models/ops/kernels/attention_tiles-inl.h"
}  // namespace float_words

#if LORA_BF16_PAIRS
#pragma GCC push_options
#pragma GCC target("avx512bf16")
namespace bf16_words {
#include "models/ops/kernels/attention_tiles-inl.h"
}  // namespace bf16_words
#pragma GCC pop_options
#endif

template <class T>
void Pack(const AttentionHead<T>& head, const AttentionPanels& panels, bool backward) {
#if LORA_BF16_PAIRS
  if constexpr (std::is_same_v<T, Bf16>) {
    if (HasPairs()) return bf16_words::Tiles::Pack(head, panels, backward);
  }
#endif
  float_words::Tiles::Pack(head, panels, backward);
}

template <class T>
void Forward(const AttentionHead<T>& head, const AttentionPanels& panels) {
#if LORA_BF16_PAIRS
  if constexpr (std::is_same_v<T, Bf16>) {
    if (HasPairs()) return bf16_words::Tiles::Forward(head, panels);
  }
#endif
  float_words::Tiles::Forward(head, panels);
}

template <class T>
void Backward(const AttentionHead<T>& head, const AttentionPanels& panels) {
#if LORA_BF16_PAIRS
  if constexpr (std::is_same_v<T, Bf16>) {
    if (HasPairs()) return bf16_words::Tiles::Backward(head, panels);
  }
#endif
  float_words::Tiles::Backward(head, panels);
}

#define LORA_FOR_TYPE(T, S)                                                                               \
  void Pack##S(const AttentionHead<T>& head, const AttentionPanels& panels, bool backward) {              \
    Pack(head, panels, backward);                                                                         \
  }                                                                                                       \
  void Forward##S(const AttentionHead<T>& head, const AttentionPanels& panels) { Forward(head, panels); } \
  void Backward##S(const AttentionHead<T>& head, const AttentionPanels& panels) { Backward(head, panels); }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::kernels {

size_t attention_padded(size_t dim) { return (dim + 15) / 16 * 16; }
size_t attention_panel_floats(size_t tokens, size_t dim) { return attention_padded(tokens) * attention_padded(dim); }
size_t attention_scratch_floats(size_t tokens, size_t dim) {
  return kQueryBlock * (3 * attention_padded(tokens) + 4 * attention_padded(dim));
}

#define LORA_FOR_TYPE(T, S)                                                                         \
  HWY_EXPORT(Pack##S);                                                                              \
  HWY_EXPORT(Forward##S);                                                                           \
  HWY_EXPORT(Backward##S);                                                                          \
  template <>                                                                                       \
  void attention_pack(const AttentionHead<T>& head, const AttentionPanels& panels, bool backward) { \
    HWY_DYNAMIC_DISPATCH(Pack##S)(head, panels, backward);                                          \
  }                                                                                                 \
  template <>                                                                                       \
  void attention_forward(const AttentionHead<T>& head, const AttentionPanels& panels) {             \
    HWY_DYNAMIC_DISPATCH(Forward##S)(head, panels);                                                 \
  }                                                                                                 \
  template <>                                                                                       \
  void attention_backward(const AttentionHead<T>& head, const AttentionPanels& panels) {            \
    HWY_DYNAMIC_DISPATCH(Backward##S)(head, panels);                                                \
  }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels
#endif
