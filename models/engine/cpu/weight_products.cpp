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
#include "models/engine/cpu/weight_product.h"

namespace lora::cpu {
namespace {

// A product as its kernel takes it.
template <class T>
struct Job {
  std::vector<kernels::ProductTerm<T>> terms;
  std::vector<kernels::LowRankMatrix> matrices;
  kernels::FoldedTerm folded;
  size_t rows, columns;
  const T* added;
  T* y;
  size_t y_stride;

  explicit Job(const WeightProduct& product)
      : rows(as_size(product.y.size(0))),
        columns(as_size(product.y.size(1))),
        added(product.added.defined() ? kernels::data<T>(product.added) : nullptr),
        y(kernels::data<T>(product.y)),
        y_stride(as_size(product.y.stride(0))) {
    for (const auto& [a, m, transposed] : product.terms) {
      terms.push_back({kernels::data<T>(a), as_size(a.stride(0)), kernels::data<T>(m), as_size(m.stride(0)),
                       as_size(a.size(1)), transposed});
    }
    const at::Tensor& low = product.folded.low;
    matrices = kernel_matrices(product.folded.matrices);
    if (!matrices.empty()) folded = {low.const_data_ptr<float>(), as_size(low.stride(0)), matrices};
  }
};

// Each thread packs the columns that it takes.
template <class T>
void run(std::span<const WeightProduct> products) {
  // As many columns at a time as leave room for x beside them in the second-level cache, and no thread idle at the end:
  // narrower ones in float32, where half as many fit, and five equal pieces would keep one of two threads waiting.
  constexpr size_t kPackedElements = std::is_same_v<T, float> ? 100'000 : 450'000;
  const auto threads = as_size(at::get_num_threads());
  const std::vector<Job<T>> jobs(products.begin(), products.end());
  size_t columns = 0, deepest = 0;
  for (const auto& job : jobs) {
    columns += job.columns;
    deepest = std::max(deepest, kernels::chunk_depth<T>(job.terms));
  }
  const size_t rounds = ceil_div(columns * deepest, threads * kPackedElements);
  const size_t most = std::max<size_t>(32, ceil_div(columns, rounds * threads));
  struct Piece {
    const Job<T>* job;
    kernels::ColumnRange columns;
  };
  std::vector<Piece> pieces;
  for (const auto& job : jobs) {
    const size_t count = ceil_div(job.columns, most), width = round_up<size_t>(ceil_div(job.columns, count), 32);
    for (size_t first = 0; first < job.columns; first += width) {
      pieces.push_back({&job, {first, std::min(width, job.columns - first)}});
    }
  }
  share_out(static_cast<int64_t>(pieces.size()), [&](int64_t index, int64_t) {
    const auto& [job, now] = pieces[as_size(index)];
    const kernels::ProductTerms<T> terms = job->terms;
    float* const room =
        thread_scratch(kernels::weight_product_scratch_floats(terms, job->folded, job->rows, now.count));
    const T* const added = job->added ? job->added + now.first : nullptr;
    kernels::weight_product(terms, job->folded, job->rows, now, added, job->y + now.first, job->y_stride, room);
  });
}

}  // namespace

// All sizes multiples of 32, on a processor that the kernels are for.
bool takes_product(at::ScalarType dtype, int64_t rows, at::IntArrayRef weight) {
  bool serves = false;
  kernels::for_type(dtype, [&](auto type) {
    serves = kernels::weight_product_serves<decltype(type)>(as_size(rows), as_size(weight[1]), as_size(weight[0]));
  });
  return serves;
}

void weight_products(std::span<const WeightProduct> products) {
  kernels::for_type(products[0].y, [&](auto type) { run<decltype(type)>(products); });
}

}  // namespace lora::cpu
