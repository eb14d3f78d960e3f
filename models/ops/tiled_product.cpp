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
void tiled_product(std::span<const ProductTerm> terms, const Folded& folded, at::Tensor y, bool add) {
  size_t depths = 0;
  for (const auto& term : terms) depths += term.depth;
  // As many columns at a time as leave room for x beside them in the second-level cache, and no thread idle at the end.
  constexpr int64_t kPackedElements = 300'000;
  const int64_t columns = y.size(1), threads = at::get_num_threads();
  const int64_t most = std::max<int64_t>(32, kPackedElements / static_cast<int64_t>(depths) / 32 * 32);
  const int64_t pieces = ((columns + most - 1) / most + threads - 1) / threads * threads;
  const int64_t width = std::max<int64_t>(32, (columns / pieces + 31) / 32 * 32);
  const auto range = [&](int64_t piece) {
    const int64_t first = std::min(piece * width, columns);
    return kernels::ColumnRange{at_size(first), at_size(std::min(width, columns - first))};
  };
  share_out((columns + width - 1) / width, [&](int64_t piece, int64_t) {
    const kernels::ColumnRange now = range(piece);
    float* const room = thread_scratch(kernels::tile_product_scratch_floats(depths, folded.term.blocks, now.count));
    kernels::tile_product(terms, folded.term, at_size(y.size(0)), now, range(piece + threads),
                          kernels::data<kernels::Bf16>(y) + now.first, at_size(y.stride(0)), add, room);
  });
}

}  // namespace lora
