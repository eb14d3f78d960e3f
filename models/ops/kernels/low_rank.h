#pragma once
// The thin products of low-rank adapters: one side is a rank, too small for a library's product to be worth its call.
//
// Activations are T, float or Bf16; adapters, what lies between A and B, and the gradients are float32, as PEFT has
// them: an optimizer's step is often smaller than a bfloat16 of the weight can show. Ranks are padded to whole vectors
// of 16, and the padding is zero. None of these starts threads: the caller splits rows or columns.

#include <cstddef>

#include "models/ops/kernels/bf16.h"

namespace lora::kernels {

constexpr size_t padded_rank(size_t rank) { return (rank + 15) / 16 * 16; }

// y = x · P. x (rows, depth), P (depth, columns) contiguous, y (rows, columns) of y_stride; columns a multiple of 16.
// scratch: 32 · depth floats.
template <class T>
void low_rank_project(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns,
                      float* y, size_t y_stride, float* scratch);

// y += x · P. x (rows, depth) of x_stride, P (depth, columns) with rows of padded_rank(columns), y (rows, columns).
template <class T>
void low_rank_add(const float* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,
                  size_t y_stride);

// out (rank, columns) = scale · pᵀ · x: p (rows, rank) of p_stride, x (rows, columns) of x_stride.
template <class T>
void low_rank_gradient(const float* p, size_t p_stride, size_t rank, const T* x, size_t x_stride, size_t rows,
                       size_t columns, float scale, float* out, size_t out_stride);

}  // namespace lora::kernels
