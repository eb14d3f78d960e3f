#pragma once
// Projections of one input for the few rows of a decoding pass: what LinearGroup (linear_group.h) computes forward, with
// weights read in their own encoding and x in float32 (see cpu/row_product.h). Rows may belong to different models of one
// shape, which share most of their weights: adapters of one base. A weight that neighbouring rows share is read once for
// all of them.

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "models/engine/cpu/matrix.h"
#include "models/engine/cpu/row_product.h"
#include "models/engine/linear_group.h"

namespace lora {

// The projections of one input, as one model has them. Weights are used where they are; an adapter's matrices are copied
// into the layout of these products, in bfloat16 where `dtype` is. Changes of the parts' tensors are not seen.
class RowLinear {
 public:
  // dtype: of the model, float32 or bfloat16. The parts' dropout is not applied.
  RowLinear(const std::vector<LinearParts>& parts, at::ScalarType dtype);

  int64_t in_features() const { return in_; }
  int64_t out_features() const { return out_; }

 private:
  friend class RowProducts;
  struct One {
    kernels::RowWeight weight;
    kernels::RowFinish finish;  // without `low`
    int64_t column, low;        // where its outputs, and its part of the low-rank activations, begin
  };
  std::vector<One> all_;
  kernels::RowWeight down_;  // all A one above the other (rank, in)
  int64_t in_ = 0, out_ = 0, rank_ = 0;
  std::vector<at::Tensor> kept_;
};

// Rows that one model computes.
struct RowRun {
  int64_t first, count;
  const RowLinear* linear;
};

// Computes products in memory of its own, which it keeps from call to call.
class RowProducts {
 public:
  // y (rows, out) = the projections of x (rows, in), contiguous, side by side, on all threads. Runs cover the rows in
  // their order.
  void run(std::span<const RowRun> runs, kernels::Matrix<const float> x, kernels::Matrix<float> y);

 private:
  // x as products of that weight read it.
  kernels::LaidRows laid(const kernels::RowWeight& weight) const;
  void lay(std::span<const RowRun> runs, kernels::Matrix<const float> x);
  void low_activations(std::span<const RowRun> runs);

  kernels::Matrix<const float> x_;
  std::array<at::Tensor, kernels::kRowOrders> laid_;  // x in each order but the plain one, aligned to lines
  std::vector<float> low_memory_;
  kernels::Matrix<float> low_;
};

}  // namespace lora
