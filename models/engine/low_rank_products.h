#pragma once
// The products of low-rank adapters over whole tensors, on all threads; see kernels/low_rank.h.

#include <ATen/core/Tensor.h>

#include <span>

#include "models/engine/cpu/low_rank.h"

namespace lora {

using kernels::LowRankMatrix;

// scale · m, or its transpose; m (rows, columns) float32 and contiguous, borrowed.
LowRankMatrix matrix(const at::Tensor& m, double scale = 1);
LowRankMatrix transposed(const at::Tensor& m, double scale = 1);

// The matrices one after another, laid out for activations of `dtype`.
at::Tensor make_panel(at::ScalarType dtype, kernels::LowRankUse use, std::span<const LowRankMatrix> matrices);

// y (N, columns) float32 = x (N, depth) · the matrices side by side, each padded to 16 columns.
void project_rows(const at::Tensor& x, std::span<const LowRankMatrix> matrices, at::Tensor y);

// y (N, columns) += x (N, depth) float32 · the matrices one above the other, each padded to 16 rows.
void add_rows(const at::Tensor& x, std::span<const LowRankMatrix> matrices, at::Tensor y);

// scale · pᵀ · x: (rank, columns) float32 from p (N, rank) float32 and x (N, columns).
at::Tensor thin_gradient(const at::Tensor& p, const at::Tensor& x, double scale);

}  // namespace lora
