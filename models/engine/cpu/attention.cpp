#include "models/engine/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/attention.cpp"
#include <hwy/foreach_target.h>
// The includes below are made once an instruction set.
#include <hwy/highway.h>

#ifndef LORA_ATTENTION_CONSTANTS
#define LORA_ATTENTION_CONSTANTS
namespace lora::kernels {
constexpr size_t kQueryBlock = 32;
constexpr size_t kMostAmxDim = 512;  // room on the stack
}  // namespace lora::kernels
#endif

#include "models/engine/cpu/scores-inl.h"
#include "models/engine/cpu/tiles-inl.h"
#include "models/engine/cpu/words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

namespace float_words {
#include "models/engine/cpu/attention_tiles-inl.h"
}  // namespace float_words

#if LORA_BF16_PAIRS
#pragma GCC push_options
#pragma GCC target("avx512bf16")
namespace bf16_words {
#include "models/engine/cpu/attention_tiles-inl.h"
}  // namespace bf16_words
#pragma GCC pop_options
#endif

#if LORA_AVX512
#include "models/engine/cpu/attention_amx-inl.h"
#endif

// Calls f with the tiles that are the fastest for heads of T.
template <class T, class F>
void WithTiles([[maybe_unused]] const AttentionHead<T>& head, F f) {
  if constexpr (std::is_same_v<T, Bf16>) {
#if LORA_AVX512
    if (amx() && head.dim <= kMostAmxDim) return f(amx_tiles::AmxTiles());
#endif
#if LORA_BF16_PAIRS
    if (HasPairs()) return f(bf16_words::Tiles());
#endif
  }
  f(float_words::Tiles());
}

template <class T>
void Pack(const AttentionHead<T>& head, const AttentionPanels& panels, bool backward) {
  WithTiles(head, [&](auto tiles) { decltype(tiles)::Pack(head, panels, backward); });
}

template <class T>
void Forward(const AttentionHead<T>& head, const AttentionPanels& panels) {
  WithTiles(head, [&](auto tiles) { decltype(tiles)::Forward(head, panels); });
}

template <class T>
void Backward(const AttentionHead<T>& head, const AttentionPanels& panels) {
  WithTiles(head, [&](auto tiles) { decltype(tiles)::Backward(head, panels); });
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
// Tiles go in steps of 32 keys.
size_t attention_panel_floats(size_t tokens, size_t dim) { return (tokens + 31) / 32 * 32 * attention_padded(dim); }
size_t attention_scratch_floats(size_t tokens, size_t dim) {
  const size_t keys = (tokens + 31) / 32 * 32, width = attention_padded(dim);
  const size_t words = kQueryBlock * (3 * keys + 4 * width);
  const size_t tiles = kQueryBlock * (3 * keys + 2 * width + (dim + 31) / 32 * 32) + 2 * keys * width;
  return std::max(words, tiles);
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
