#include "models/ops/tiled_product.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "models/ops/kernels/dispatch.h"
#include "models/ops/scratch.h"
#include "models/parallel.h"

namespace lora {
namespace {

size_t at_size(int64_t n) { return static_cast<size_t>(n); }

}  // namespace

Folded fold(const at::Tensor& low, std::span<const LowRankMatrix> matrices) {
  Folded folded;
  const size_t rows = at_size(low.size(0)), blocks = at_size(low.size(1) / 16);
  folded.split = at::empty({static_cast<int64_t>(kernels::tile_split_floats(rows, blocks))}, at::kFloat);
  folded.panel = make_panel(at::kBFloat16, kernels::LowRankUse::kAdd, matrices);
  auto* const split = kernels::data<kernels::Bf16>(folded.split);
  kernels::tile_split(low.const_data_ptr<float>(), at_size(low.stride(0)), rows, blocks, split);
  folded.term = {split, blocks, folded.panel.const_data_ptr<float>(), matrices[0].columns};
  return folded;
}

ProductTerm product_term(const at::Tensor& a, const at::Tensor& m, bool transposed) {
  return {kernels::data<kernels::Bf16>(a),
          at_size(a.stride(0)),
          kernels::data<kernels::Bf16>(m),
          at_size(m.stride(0)),
          at_size(a.size(1)),
          transposed};
}

// Each thread packs the columns that it takes.
void tiled_products(std::span<const TiledProduct> products) {
  // As many columns at a time as leave room for x beside them in the second-level cache, and no thread idle at the end.
  constexpr int64_t kPackedElements = 450'000;
  const int64_t threads = at::get_num_threads();
  int64_t columns = 0, deepest = 0;
  for (const TiledProduct& product : products) {
    columns += product.y.size(1);
    deepest = std::max(deepest, static_cast<int64_t>(kernels::tile_chunk_depth(product.terms)));
  }
  const int64_t rounds = (columns * deepest + threads * kPackedElements - 1) / (threads * kPackedElements);
  const int64_t most = std::max<int64_t>(32, (columns + rounds * threads - 1) / (rounds * threads));
  struct Piece {
    const TiledProduct* product;
    kernels::ColumnRange columns;
  };
  std::vector<Piece> pieces;
  for (const TiledProduct& product : products) {
    const int64_t all = product.y.size(1), count = (all + most - 1) / most;
    const int64_t width = ((all + count - 1) / count + 31) / 32 * 32;
    for (int64_t first = 0; first < all; first += width) {
      pieces.push_back({&product, {at_size(first), at_size(std::min(width, all - first))}});
    }
  }
  share_out(static_cast<int64_t>(pieces.size()), [&](int64_t index, int64_t) {
    const auto& [product, now] = pieces[at_size(index)];
    const kernels::FoldedTerm& folded = product->folded.term;
    const size_t rows = at_size(product->y.size(0));
    float* const room = thread_scratch(kernels::tile_product_scratch_floats(product->terms, folded, rows, now.count));
    kernels::tile_product(product->terms, folded, rows, now, kernels::data<kernels::Bf16>(product->y) + now.first,
                          at_size(product->y.stride(0)), product->add, room);
  });
}

}  // namespace lora
