// Divides products with weights among threads, by columns.

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <type_traits>

#include "models/base/numbers.h"
#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"
#include "models/engine/cpu/low_rank_products.h"
#include "models/engine/cpu/operations.h"
#include "models/engine/cpu/scratch.h"

namespace lora::cpu {
namespace {

// A product as its kernel takes it.
template <class T>
struct Job {
  std::vector<kernels::ProductTerm<T>> terms;
  std::vector<kernels::LowRankMatrix> matrices;
  kernels::FoldedTerm folded;
  kernels::Matrix<const T> added;
  kernels::Matrix<T> y;

  explicit Job(const WeightProduct& product)
      : matrices(kernel_matrices(product.folded.matrices)), y(kernels::view<T>(product.y)) {
    for (const auto& [a, m, transposed] : product.terms) {
      terms.push_back({kernels::view<const T>(a), kernels::view<const T>(m), transposed});
    }
    if (product.added.defined()) added = kernels::view<const T>(product.added);
    if (!matrices.empty()) folded = {kernels::view<const float>(product.folded.low), matrices};
  }

  kernels::FoldedProduct<T> product() const { return {terms, folded, added, y}; }
};

// Each thread packs the columns that it takes.
template <class T>
void run(const kernels::Kernels<T>& k, std::span<const WeightProduct> products) {
  // As many columns at a time as fit in the second-level cache beside x, and as keep all threads busy to the end: in
  // float32, where half as many fit, five equal pieces would leave one of two threads idle, so pieces are narrower.
  constexpr size_t kPackedElements = std::is_same_v<T, float> ? 100'000 : 450'000;
  const auto threads = as_size(at::get_num_threads());
  const std::vector<Job<T>> jobs(products.begin(), products.end());
  size_t columns = 0, deepest = 0;
  for (const auto& job : jobs) {
    columns += job.y.columns;
    deepest = std::max(deepest, kernels::deepest_chunk(job.product().terms));
  }
  const size_t rounds = ceil_div(columns * deepest, threads * kPackedElements);
  const size_t most = std::max<size_t>(32, ceil_div(columns, rounds * threads));
  struct Piece {
    const Job<T>* job;
    kernels::ColumnRange columns;
  };
  std::vector<Piece> pieces;
  for (const auto& job : jobs) {
    const size_t all = job.y.columns, width = round_up<size_t>(ceil_div(all, ceil_div(all, most)), 32);
    for (size_t first = 0; first < all; first += width) {
      pieces.push_back({&job, {first, std::min(width, all - first)}});
    }
  }
  share_out(static_cast<int64_t>(pieces.size()), [&](int64_t index, int64_t) {
    const auto& [job, now] = pieces[as_size(index)];
    const kernels::FoldedProduct<T> product = job->product();
    k.weight_product.run(product, now, thread_scratch(k.weight_product.scratch_floats(product, now.count)));
  });
}

}  // namespace

bool takes_product(at::ScalarType dtype, int64_t rows, at::IntArrayRef weight) {
  bool takes = false;
  kernels::for_type(dtype, [&](auto type) {
    const auto& kernel = kernels::table<decltype(type)>().weight_product;
    takes = kernel.takes(as_size(rows), as_size(weight[1]), as_size(weight[0]));
  });
  return takes;
}

void weight_products(std::span<const WeightProduct> products) {
  kernels::with_kernels(products[0].y, [&](const auto& k) { run(k, products); });
}

}  // namespace lora::cpu
