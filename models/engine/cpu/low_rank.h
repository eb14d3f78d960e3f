#pragma once
// The thin products of low-rank adapters: one side is a rank, too small for a library's product to be worth its call.
//
// Activations are T, float or Bf16; adapters, what lies between A and B, and the gradients are float32, as PEFT has
// them: an optimizer's step is often smaller than a bfloat16 of the weight can show. Where the processor multiplies
// only bfloat16 fast (AMX), a float32 is the sum of two of them: 16 bits of each number count, and sums are float32.
// Ranks are padded to whole vectors of 16, and the padding is zero. None of these starts threads: the caller splits
// rows or columns, at multiples of kLowRankRows.

#include <cstddef>

#include "models/engine/conventions.h"
#include "models/engine/cpu/bf16.h"

namespace lora::kernels {

constexpr size_t kLowRankRows = 32;
using lora::padded_rank;

// The float32 side of a product, laid out for this processor. Of project, panels one after another are one panel whose
// columns lie side by side; of add, one whose rows do; of gradient, one of several p: `columns` or `depth` or `rank`,
// respectively, is then their sum.
enum class LowRankUse { kProject, kAdd, kGradient };

// P (depth, columns) with P[k][c] = scale · m[k · row_stride + c · column_stride]. The rank is `columns` for project
// and gradient, `depth` for add.
struct LowRankMatrix {
  const float* m;
  size_t row_stride, column_stride, depth, columns;
  float scale = 1;
};
template <class T>
size_t low_rank_panel_floats(LowRankUse use, size_t depth, size_t columns);
template <class T>
void low_rank_pack(LowRankUse use, const LowRankMatrix& matrix, float* panel);

// Room for one call by one thread: of project and add, and of gradient.
size_t low_rank_scratch_floats(size_t depth, size_t columns);
size_t low_rank_gradient_scratch_floats(size_t rank, size_t columns);

// y = x · P. x (rows, depth) of x_stride, y (rows, columns) of y_stride; columns a multiple of 16.
template <class T>
void low_rank_project(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns,
                      float* y, size_t y_stride, float* scratch);

// y += x · P. x (rows, depth) of x_stride, depth a multiple of 16, y (rows, columns) of y_stride.
template <class T>
void low_rank_add(const float* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,
                  size_t y_stride, float* scratch);

// out (rank, columns) = scale · Pᵀ · x: P (rows, rank) as a panel, x (rows, columns) of x_stride.
template <class T>
void low_rank_gradient(const float* panel, size_t rank, const T* x, size_t x_stride, size_t rows, size_t columns,
                       float scale, float* out, size_t out_stride, float* scratch);

}  // namespace lora::kernels
