#pragma once
// The small steps between products, over rows of tokens: each reads its input once and writes its result once.
//
// T is float or Bf16; arithmetic is float32 and rounded once, when stored. Rows are contiguous unless a stride is
// given. None of them allocates or starts threads: the caller splits the rows.

#include <cstddef>
#include <cstdint>

#include "models/engine/conventions.h"
#include "models/engine/cpu/bf16.h"

namespace lora::kernels {

// y = w · x / sqrt(mean(x²) + eps) a row (Zhang & Sennrich 2019). x, y (rows, width), w (width).
template <class T>
void rms_norm(const T* x, const float* w, T* y, size_t rows, size_t width, float eps);

// dx = the gradient of x, given that of y, + base, which may be dx or null. x, dy, base, dx (rows, width).
template <class T>
void rms_norm_backward(const T* x, const float* w, const T* dy, const T* base, T* dx, size_t rows, size_t width,
                       float eps);

// Turns the pairs (i, i + turned/2) of the first `turned` of `heads` vectors of `dim` a row by the angles whose cosines
// and sines are given, in place; `direction` is 1, or -1 to turn back (which is also the gradient). x: rows of
// `stride`, the heads first; cos, sin (rows, turned/2).
template <class T>
void rope(T* x, size_t stride, const float* cos, const float* sin, size_t rows, size_t heads, size_t dim, size_t turned,
          float direction);

// y = silu(g) · u where a row of gu is [g | u]. gu (rows, 2·width), y (rows, width).
template <class T>
void swiglu(const T* gu, T* y, size_t rows, size_t width);

// The gradient of gu over gu itself, and y again in place of its gradient: gu -> dgu, dy -> y.
template <class T>
void swiglu_backward(T* gu, T* dy, size_t rows, size_t width);

// Cross-entropy of each row of logits against its target: losses (rows); where `gradient` is set, the logits become
// softmax − one-hot(target). logits (rows, vocabulary).
template <class T>
void cross_entropy(T* logits, const int64_t* targets, float* losses, size_t rows, size_t vocabulary, bool gradient);

// to[i] = from[i] / (1 − p), or 0 where element first + i of the stream `key` is dropped (conventions.h). from, to (n).
template <class T>
void dropout(const T* from, T* to, size_t n, float p, uint64_t key, uint32_t first);

// to[i] = from[i], rounded. to (n).
template <class T>
void store(const float* from, T* to, size_t n);

}  // namespace lora::kernels
