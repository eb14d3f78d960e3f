#pragma once
// Weights in four or eight bits, to and from floats.
//
// NF4 (Dettmers et al. 2023, §3): blocks of 64 values in the order of memory; the last block may be shorter. A value is
// the nearest of sixteen levels times the largest magnitude of its block. A byte holds two codes, the first in the
// upper half. Scales, codes and values have the bits of bitsandbytes' CUDA kernels.

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/engine/cpu/bf16.h"

namespace lora::kernels {

inline constexpr size_t kNf4Block = 64;

// Quantiles of N(0, 1) with equal probability between neighbours, scaled to [-1, 1], and a zero (Appendix E).
inline constexpr std::array<float, 16> kNf4Levels = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

// T: float or Bf16, of decoded values. Values to encode are float32.
template <class T>
struct QuantizedKernels {
  // values (n), from the start of a block -> codes (⌈n/2⌉) and the largest magnitude of each block, scales (⌈n/64⌉).
  // False where a value is not finite.
  bool (*nf4_encode)(const float* values, size_t n, uint8_t* codes, float* scales);
  // values (n) = level · scale, rounded once.
  void (*nf4_decode)(const uint8_t* codes, const float* scales, T* values, size_t n);

  // A row of values (n) -> codes round(127 · v / scale), ties to even, and the largest magnitude as the scale. False
  // where a value is not finite.
  bool (*int8_encode)(const float* values, size_t n, int8_t* codes, float* scale);
  // values (n) = codes · scale / 127, rounded once.
  void (*int8_decode)(const int8_t* codes, float scale, T* values, size_t n);
};

}  // namespace lora::kernels
