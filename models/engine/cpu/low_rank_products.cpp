#include "models/engine/cpu/low_rank_products.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "models/base/numbers.h"
#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"
#include "models/engine/cpu/operations.h"
#include "models/engine/cpu/scratch.h"

namespace lora::cpu {
namespace {

using kernels::LowRankMatrix;

constexpr int64_t kRows = static_cast<int64_t>(kernels::kLowRankRows), kColumnGrain = 32;

float* scratch(size_t depth, size_t columns) {
  return thread_scratch(kernels::low_rank_scratch_floats(depth, columns));
}

// f(first row, rows) over all rows, at once on several threads.
template <class F>
void for_row_steps(int64_t rows, F f) {
  parallel_for(ceil_div(rows, kRows), 1, [&](int64_t first, int64_t last) {
    f(first * kRows, as_size(std::min(last * kRows, rows) - first * kRows));
  });
}

LowRankMatrix kernel_matrix(const LowRankFactor& factor) {
  const at::Tensor& m = factor.m;
  const size_t rows = as_size(m.size(0)), columns = as_size(m.size(1)), stride = as_size(m.stride(0));
  const auto scale = static_cast<float>(factor.scale);
  if (factor.transposed) return {m.const_data_ptr<float>(), 1, stride, columns, rows, scale};
  return {m.const_data_ptr<float>(), stride, 1, rows, columns, scale};
}

// The matrices one after another, laid out for activations of `dtype`.
at::Tensor make_panel(at::ScalarType dtype, kernels::LowRankUse use, std::span<const LowRankFactor> factors) {
  const std::vector<LowRankMatrix> matrices = kernel_matrices(factors);
  at::Tensor panel;
  kernels::for_type(dtype, [&](auto type) {
    using T = decltype(type);
    size_t floats = 0;
    for (const auto& m : matrices) floats += kernels::low_rank_panel_floats<T>(use, m.depth, m.columns);
    panel = at::empty({static_cast<int64_t>(floats)}, at::kFloat);
    float* to = panel.data_ptr<float>();
    for (const auto& m : matrices) {
      kernels::low_rank_pack<T>(use, m, to);
      to += kernels::low_rank_panel_floats<T>(use, m.depth, m.columns);
    }
  });
  return panel;
}

}  // namespace

std::vector<LowRankMatrix> kernel_matrices(std::span<const LowRankFactor> factors) {
  std::vector<LowRankMatrix> matrices;
  for (const LowRankFactor& factor : factors) matrices.push_back(kernel_matrix(factor));
  return matrices;
}

void project_rows(const at::Tensor& x, std::span<const LowRankFactor> factors, const at::Tensor& y) {
  const at::Tensor panel = make_panel(x.scalar_type(), kernels::LowRankUse::kProject, factors);
  const size_t depth = as_size(x.size(1)), columns = as_size(y.size(1));
  kernels::for_type(x, [&](auto type) {
    using T = decltype(type);
    for_row_steps(x.size(0), [&](int64_t first, size_t rows) {
      kernels::low_rank_project(kernels::data<T>(x) + first * x.stride(0), as_size(x.stride(0)), rows, depth,
                                panel.const_data_ptr<float>(), columns, y.data_ptr<float>() + first * y.stride(0),
                                as_size(y.stride(0)), scratch(depth, columns));
    });
  });
}

void add_rows(const at::Tensor& x, std::span<const LowRankFactor> factors, const at::Tensor& y) {
  const at::Tensor panel = make_panel(y.scalar_type(), kernels::LowRankUse::kAdd, factors);
  const size_t depth = as_size(x.size(1)), columns = as_size(y.size(1));
  kernels::for_type(y, [&](auto type) {
    using T = decltype(type);
    for_row_steps(x.size(0), [&](int64_t first, size_t rows) {
      kernels::low_rank_add(x.const_data_ptr<float>() + first * x.stride(0), as_size(x.stride(0)), rows, depth,
                            panel.const_data_ptr<float>(), columns, kernels::data<T>(y) + first * y.stride(0),
                            as_size(y.stride(0)), scratch(depth, columns));
    });
  });
}

at::Tensor thin_gradient(const at::Tensor& p, const at::Tensor& x, double scale) {
  const LowRankFactor factor{p};
  const at::Tensor panel = make_panel(x.scalar_type(), kernels::LowRankUse::kGradient, {&factor, 1});
  at::Tensor out = at::empty({p.size(1), x.size(1)}, at::kFloat);
  const size_t rank = as_size(p.size(1)), rows = as_size(p.size(0));
  kernels::for_type(x, [&](auto type) {
    using T = decltype(type);
    parallel_for(ceil_div(x.size(1), kColumnGrain), 1, [&](int64_t first, int64_t last) {
      const int64_t begin = first * kColumnGrain, end = std::min(last * kColumnGrain, x.size(1));
      kernels::low_rank_gradient(panel.const_data_ptr<float>(), rank, kernels::data<T>(x) + begin, as_size(x.stride(0)),
                                 rows, as_size(end - begin), static_cast<float>(scale), out.data_ptr<float>() + begin,
                                 as_size(out.size(1)),
                                 thread_scratch(kernels::low_rank_gradient_scratch_floats(rank, as_size(end - begin))));
    });
  });
  return out;
}

}  // namespace lora::cpu
