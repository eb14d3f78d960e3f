#pragma once
// Weights in four or eight bits, to and from floats. None of these starts threads: the caller splits blocks or rows.
//
// NF4 (Dettmers et al. 2023, §3): blocks of 64 values in memory's order, the last one as long as what is left; a value
// is the nearest of sixteen levels times the largest magnitude of its block. Two codes a byte, the first in the upper
// half. Scales, codes and values have the bits of bitsandbytes' CUDA kernels.

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/engine/cpu/bf16.h"

namespace lora::kernels {

inline constexpr size_t kNf4Block = 64;

// Quantiles of N(0, 1) between which the probability is the same, scaled to [-1, 1], with a zero (Appendix E).
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

// values (n), beginning at a block -> codes (⌈n/2⌉) and the largest magnitude of each block (⌈n/64⌉). False where a
// value is not finite.
bool nf4_encode(const float* values, size_t n, uint8_t* codes, float* scales);
// The way back; rounded once, from float32. T: float or Bf16.
template <class T>
void nf4_decode(const uint8_t* codes, const float* scales, T* values, size_t n);

// A row of values (n) -> codes round(127 · v / scale), to even where two are as near, and the largest magnitude as the
// scale. False where a value is not finite.
bool int8_encode(const float* values, size_t n, int8_t* codes, float* scale);
// codes · scale / 127; rounded once, from float32.
template <class T>
void int8_decode(const int8_t* codes, float scale, T* values, size_t n);

}  // namespace lora::kernels
