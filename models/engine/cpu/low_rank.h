#pragma once
// The thin products of low-rank adapters: one side is a rank, so small that a library's product costs more in its call
// than in its arithmetic.
//
// Activations are T, float or Bf16. Adapters, what lies between A and B, and the gradients are float32, as in PEFT: an
// optimizer's step is often smaller than a bfloat16 of the weight can show. Where the processor multiplies only
// bfloat16 fast (AMX), a float32 is the sum of two of them: 16 bits of each number count, and sums are float32. Ranks
// are padded with zeros to whole vectors of 16. The caller divides rows among threads at multiples of kLowRankRows.

#include <algorithm>
#include <cstddef>

#include "models/base/numbers.h"
#include "models/engine/conventions.h"
#include "models/engine/cpu/bf16.h"
#include "models/engine/cpu/matrix.h"

namespace lora::kernels {

constexpr size_t kLowRankRows = 32;
using lora::padded_rank;

// What a panel, the float32 side of a product laid out for this processor, is for. Panels one after another are one
// panel: for project, of matrices side by side; for add, of matrices one above the other; for gradient, of several p.
enum class LowRankUse { kProject, kAdd, kGradient };

// P (depth, columns) with P[k][c] = scale · m[k · row_stride + c · column_stride]. The rank is `columns` for project
// and gradient, `depth` for add.
struct LowRankMatrix {
  const float* m;
  size_t row_stride, column_stride, depth, columns;
  float scale = 1;
};

template <class T>
struct LowRankKernels {
  size_t (*panel_floats)(LowRankUse use, size_t depth, size_t columns);
  void (*pack)(LowRankUse use, const LowRankMatrix& matrix, float* panel);

  // y (rows, columns) = x (rows, depth) · P; columns is a multiple of 16.
  void (*project)(Matrix<const T> x, const float* panel, Matrix<float> y, float* scratch);

  // y (rows, columns) += x (rows, depth) · P; depth is a multiple of 16.
  void (*add)(Matrix<const float> x, const float* panel, Matrix<T> y, float* scratch);

  // out (rank, columns) = scale · Pᵀ · x, with P (rows, rank) and x (rows, columns).
  void (*gradient)(const float* panel, Matrix<const T> x, float scale, Matrix<float> out, float* scratch);
};

// Scratch memory of one call of project or add.
constexpr size_t low_rank_scratch_floats(size_t depth, size_t columns) {
  const size_t padded_depth = round_up<size_t>(depth, 32);
  const size_t project = 16 * padded_depth + 32 * padded_rank(columns) + kLowRankRows * depth;
  const size_t add = 32 * padded_depth + 32 * 32;
  return std::max(project, add);
}
// Of one call of gradient.
constexpr size_t low_rank_gradient_scratch_floats(size_t rank, size_t columns) {
  return (16 + padded_rank(rank)) * padded_rank(columns);
}

}  // namespace lora::kernels
