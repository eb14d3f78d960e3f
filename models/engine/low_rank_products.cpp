#include "models/engine/low_rank_products.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "models/base/numbers.h"
#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"
#include "models/engine/scratch.h"

namespace lora {
namespace {

constexpr int64_t kRowStep = static_cast<int64_t>(kernels::kLowRankRows), kColumnGrain = 32;

float* scratch(size_t depth, size_t columns) {
  return thread_scratch(kernels::low_rank_scratch_floats(depth, columns));
}

// f(first row, rows) over all rows, at once on several threads.
template <class F>
void for_row_steps(int64_t rows, F f) {
  parallel_for(ceil_div(rows, kRowStep), 1, [&](int64_t first, int64_t last) {
    f(first * kRowStep, as_size(std::min(last * kRowStep, rows) - first * kRowStep));
  });
}

}  // namespace

at::Tensor make_panel(at::ScalarType dtype, kernels::LowRankUse use, std::span<const LowRankMatrix> matrices) {
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

LowRankMatrix matrix(const at::Tensor& m, double scale) {
  return {m.const_data_ptr<float>(), as_size(m.stride(0)), 1,
          as_size(m.size(0)),        as_size(m.size(1)),   static_cast<float>(scale)};
}
LowRankMatrix transposed(const at::Tensor& m, double scale) {
  return {m.const_data_ptr<float>(), 1, as_size(m.stride(0)), as_size(m.size(1)), as_size(m.size(0)),
          static_cast<float>(scale)};
}

void project_rows(const at::Tensor& x, std::span<const LowRankMatrix> matrices, at::Tensor y) {
  const at::Tensor panel = make_panel(x.scalar_type(), kernels::LowRankUse::kProject, matrices);
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

void add_rows(const at::Tensor& x, std::span<const LowRankMatrix> matrices, at::Tensor y) {
  const at::Tensor panel = make_panel(y.scalar_type(), kernels::LowRankUse::kAdd, matrices);
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
  const LowRankMatrix factors = matrix(p);
  const at::Tensor panel = make_panel(x.scalar_type(), kernels::LowRankUse::kGradient, {&factors, 1});
  at::Tensor out = at::empty({p.size(1), x.size(1)}, at::kFloat);
  const size_t rank = factors.columns, rows = factors.depth;
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

}  // namespace lora
