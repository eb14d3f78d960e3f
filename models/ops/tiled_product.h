#pragma once
// Products of float32 or bfloat16 tensors on all threads, adapters folded in; see kernels/tile_product.h.

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "models/ops/low_rank_products.h"

namespace lora {

// Whether such products with a weight of this shape (out, in) are done here: all sizes multiples of 32, on a CPU that
// the kernels are for.
bool tiled_products_serve(at::ScalarType dtype, int64_t rows, c10::Device device, at::IntArrayRef weight);

// `low` (N, r) float32, r a multiple of 16, with the matrices that it meets one above the other; laid out for products
// of `dtype`.
struct Folded {
  at::Tensor low, panel;
  int64_t blocks = 0, columns = 0;
};
Folded fold(at::ScalarType dtype, const at::Tensor& low, std::span<const LowRankMatrix> matrices);

// a (N, depth) times m (depth, columns), or times the transpose of m (columns, depth).
struct ProductTerm {
  at::Tensor a, m;
  bool transposed;
};

// y (N, columns) = Σ of the terms + what is folded in, or += them. Where tiled_products_serve.
struct TiledProduct {
  std::vector<ProductTerm> terms;
  Folded folded = {};
  at::Tensor y;
  bool add = false;
};

// Several of as many rows, of one dtype.
void tiled_products(std::span<const TiledProduct> products);

}  // namespace lora
