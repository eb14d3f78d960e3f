#pragma once
// Products of bfloat16 tensors on AMX, on all threads, adapters folded in; see kernels/tile_product.h.

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "models/ops/kernels/tile_product.h"
#include "models/ops/low_rank_products.h"

namespace lora {

using kernels::ProductTerm;

// `low` (N, r) float32, r a multiple of 16, with the matrices that it meets one above the other.
struct Folded {
  at::Tensor split, panel;
  kernels::FoldedTerm term;
};
Folded fold(const at::Tensor& low, std::span<const LowRankMatrix> matrices);

// a (N, depth) times m (depth, columns), or times the transpose of m (columns, depth); both borrowed.
ProductTerm product_term(const at::Tensor& a, const at::Tensor& m, bool transposed);

// y (N, columns) = Σ of the terms + what is folded in, or += them. Where kernels::tile_product_serves it.
struct TiledProduct {
  std::vector<ProductTerm> terms;
  Folded folded = {};
  at::Tensor y;
  bool add = false;
};

// Several of as many rows.
void tiled_products(std::span<const TiledProduct> products);

}  // namespace lora
