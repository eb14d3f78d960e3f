#pragma once
// Products of float32 or bfloat16 tensors on all threads, adapters folded in; see kernels/weight_product.h.

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "models/engine/low_rank_products.h"

namespace lora {

// Whether such products with a weight of this shape (out, in) are done here: all sizes multiples of 32, on a CPU that
// the kernels are for.
bool weight_products_serve(at::ScalarType dtype, int64_t rows, c10::Device device, at::IntArrayRef weight);

// `low` (N, r) float32 times the matrices one above the other, each padded to 16 rows; or nothing.
struct Folded {
  at::Tensor low;
  std::vector<LowRankMatrix> matrices;
};

// a (N, depth) times m (depth, columns), or times the transpose of m (columns, depth).
struct ProductTerm {
  at::Tensor a, m;
  bool transposed;
};

// y (N, columns) = Σ of the terms + what is folded in + `added`, which is undefined, or y, or of y's strides. Where
// weight_products_serve.
struct WeightProduct {
  std::vector<ProductTerm> terms;
  Folded folded = {};
  at::Tensor added = {};
  at::Tensor y;
};

// Several of as many rows, of one dtype.
void weight_products(std::span<const WeightProduct> products);

}  // namespace lora
