#pragma once
// The small steps between products, over rows of tokens: each reads its input once and writes its result once.
// Arithmetic is float32, rounded once when it is stored.

#include <cstddef>
#include <cstdint>
#include <span>

#include "models/engine/cpu/bf16.h"
#include "models/engine/cpu/matrix.h"

namespace lora::kernels {

// T: float or Bf16.
template <class T>
struct ElementwiseKernels {
  // RMSNorms side by side in the columns of x, each as wide as w: y = w · x / sqrt(mean(x²) + eps) (Zhang & Sennrich
  // 2019). y is shaped like x and may be x; its columns are a multiple of w's.
  void (*rms_norm)(Matrix<const T> x, std::span<const float> w, Matrix<T> y, float eps);

  // dx = the gradient of x + base. dy is the gradient of y. `base` may be dx, or missing.
  void (*rms_norm_backward)(Matrix<const T> x, std::span<const float> w, Matrix<const T> dy, Matrix<const T> base,
                            Matrix<T> dx, float eps);

  // Rotary embedding in place. A row of x is heads of `dim` elements; in each head the pair (i, i + R/2) rotates by the
  // angle of row r, for i < R/2. cos, sin (rows, R/2). direction: 1, or -1 for the inverse, which is also the gradient.
  void (*rope)(Matrix<T> x, size_t dim, Matrix<const float> cos, Matrix<const float> sin, float direction);

  // y = silu(g) · u, where a row of gu is [g | u]. gu (rows, 2·width), y (rows, width).
  void (*swiglu)(Matrix<const T> gu, Matrix<T> y);

  // The same with GELU in its tanh approximation instead of SiLU.
  void (*geglu)(Matrix<const T> gu, Matrix<T> y);

  // gu becomes its gradient, and dy, the gradient of y, becomes y.
  void (*swiglu_backward)(Matrix<T> gu, Matrix<T> dy);

  // Cross-entropy of each row of logits (rows, vocabulary) with its target. targets, losses (rows). With `gradient` the
  // logits become softmax − one-hot(target).
  void (*cross_entropy)(Matrix<T> logits, const int64_t* targets, float* losses, bool gradient);

  // to[i] = from[i] / (1 − p), or 0 where element first + i of the stream `key` is dropped (conventions.h). from, to
  // (n).
  void (*dropout)(const T* from, T* to, size_t n, float p, uint64_t key, uint32_t first);

  // to[i] = from[i]. from, to (n).
  void (*store)(const float* from, T* to, size_t n);
};

}  // namespace lora::kernels
