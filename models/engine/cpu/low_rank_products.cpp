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

// Calls f(first row, rows, scratch of a product) over all rows, on several threads.
template <class F>
void for_row_steps(int64_t rows, size_t depth, size_t columns, F f) {
  parallel_for(ceil_div(rows, kRows), 1, [&](int64_t first, int64_t last) {
    f(as_size(first * kRows), as_size(std::min(last * kRows, rows) - first * kRows),
      thread_scratch(kernels::low_rank_scratch_floats(depth, columns)));
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
    const auto& low_rank = kernels::table<decltype(type)>().low_rank;
    size_t floats = 0;
    for (const auto& m : matrices) floats += low_rank.panel_floats(use, m.depth, m.columns);
    panel = at::empty({static_cast<int64_t>(floats)}, at::kFloat);
    float* to = panel.data_ptr<float>();
    for (const auto& m : matrices) {
      low_rank.pack(use, m, to);
      to += low_rank.panel_floats(use, m.depth, m.columns);
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
  kernels::with_kernels(x, [&]<class T>(const kernels::Kernels<T>& k) {
    const auto from = kernels::view<const T>(x);
    const auto to = kernels::view<float>(y);
    for_row_steps(x.size(0), from.columns, to.columns, [&](size_t first, size_t rows, float* scratch) {
      k.low_rank.project(from.row_range(first, rows), panel.const_data_ptr<float>(), to.row_range(first, rows),
                         scratch);
    });
  });
}

void add_rows(const at::Tensor& x, std::span<const LowRankFactor> factors, const at::Tensor& y) {
  const at::Tensor panel = make_panel(y.scalar_type(), kernels::LowRankUse::kAdd, factors);
  kernels::with_kernels(y, [&]<class T>(const kernels::Kernels<T>& k) {
    const auto from = kernels::view<const float>(x);
    const auto to = kernels::view<T>(y);
    for_row_steps(x.size(0), from.columns, to.columns, [&](size_t first, size_t rows, float* scratch) {
      k.low_rank.add(from.row_range(first, rows), panel.const_data_ptr<float>(), to.row_range(first, rows), scratch);
    });
  });
}

at::Tensor thin_gradient(const at::Tensor& p, const at::Tensor& x, double scale) {
  const LowRankFactor factor{p};
  const at::Tensor panel = make_panel(x.scalar_type(), kernels::LowRankUse::kGradient, {&factor, 1});
  at::Tensor out = at::empty({p.size(1), x.size(1)}, at::kFloat);
  kernels::with_kernels(x, [&]<class T>(const kernels::Kernels<T>& k) {
    const auto from = kernels::view<const T>(x);
    const auto to = kernels::view<float>(out);
    parallel_for(ceil_div(x.size(1), kColumnGrain), 1, [&](int64_t first, int64_t last) {
      const size_t begin = as_size(first * kColumnGrain);
      const size_t columns = std::min(as_size(last * kColumnGrain), to.columns) - begin;
      k.low_rank.gradient(panel.const_data_ptr<float>(), from.column_range(begin, columns), static_cast<float>(scale),
                          to.column_range(begin, columns),
                          thread_scratch(kernels::low_rank_gradient_scratch_floats(to.rows, columns)));
    });
  });
  return out;
}

}  // namespace lora::cpu
