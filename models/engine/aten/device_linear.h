#pragma once
// Projections of one input for the rows of a decoding pass, in ATen's operations: what RowLinear
// (models/engine/row_linear.h) is on the CPU. Rows may belong to different models of one shape, which share most of their
// weights: adapters of one base. A weight that neighbouring rows share is read once for all of them.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "models/engine/linear_group.h"

namespace lora::aten {

// The projections of one input, as one model has them. Weights are used where they are; an adapter's matrices are copied,
// wide. Changes of the parts' tensors are not seen.
class DeviceLinear {
 public:
  // dtype: of the activations. The parts' dropout is not applied.
  DeviceLinear(const std::vector<LinearParts>& parts, at::ScalarType dtype);

  int64_t out_features() const { return out_; }

  // Rows that one model computes.
  struct Run {
    int64_t first, count;
    const DeviceLinear* linear;
  };
  // y (rows, out) = the projections of x (rows, in) side by side, both contiguous and of that dtype. Runs cover the rows in
  // their order.
  static void run(std::span<const Run> runs, const at::Tensor& x, const at::Tensor& y);

 private:
  struct One {
    WeightHandle weight;
    at::Tensor bias = {}, gain = {};  // (out) wide, or undefined
    at::Tensor up = {};               // (rank, out) wide, scaled; undefined without an adapter
    int64_t column = 0, low = 0;      // where its outputs, and its part of the low-rank activations, begin
  };
  void finish(const at::Tensor& x, const at::Tensor& y) const;

  std::vector<One> all_;
  at::Tensor down_;  // all A side by side (in, rank), wide; undefined without adapters
  at::ScalarType dtype_;
  int64_t out_ = 0;
};

}  // namespace lora::aten
