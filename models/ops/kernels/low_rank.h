#pragma once
// The thin products of low-rank adapters: one side is a rank, too small for a library's product to be worth its call.
//
// Ranks are padded to whole vectors of 16, and the padding is zero: kPad(r) columns. Panels hold one factor in the
// layout of the products, made by low_rank_panel from float32 and rounded to T once. T is float or Bf16; sums are
// float32. None of them starts threads: the caller splits rows or columns.

#include <cstddef>

#include "models/ops/kernels/bf16.h"

namespace lora::kernels {

constexpr size_t padded_rank(size_t rank) { return (rank + 15) / 16 * 16; }

// The panel of a (depth, columns) matrix, element (k, c) of which is scale · m[k·row + c·column], with zeros up to
// padded_rank(columns). Its rows of words are `panel_row` long; T says how its words are laid out.
template <class T>
void low_rank_panel(const float* m, size_t depth, size_t columns, size_t row, size_t column, float scale, float* panel,
                    size_t panel_row);

// Floats from one row of a panel to the row `depth` further down; depth is even.
template <class T>
size_t low_rank_panel_step(size_t depth, size_t panel_row);

// y = x · P, y (rows, columns): columns a multiple of 16. x (rows, depth). scratch: 32 · (depth + 1) floats.
template <class T>
void low_rank_project(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,
                      size_t y_stride, float* scratch);

// y += x · P. x (rows, depth) with depth a padded rank; y (rows, columns), whose columns may be any number; P has rows
// of padded_rank(columns). scratch as above.
template <class T>
void low_rank_add(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,
                  size_t y_stride, float* scratch);

// out (rank, columns) float32 = scale · pᵀ · x: p (rows, rank) of stride p_stride, x (rows, columns) of x_stride.
// scratch: (rows + 1) · rank floats.
template <class T>
void low_rank_gradient(const T* p, size_t p_stride, size_t rank, const T* x, size_t x_stride, size_t rows,
                       size_t columns, float scale, float* out, size_t out_stride, float* scratch);

}  // namespace lora::kernels
