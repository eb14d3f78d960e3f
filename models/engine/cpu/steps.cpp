// The steps between the products, over the rows of all tokens.

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>

#include <span>

#include "models/base/numbers.h"
#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"
#include "models/engine/cpu/operations.h"

namespace lora::cpu {
namespace {

// Rows that a thread takes at a time: few enough to divide short batches, enough to hide the cost of dividing.
constexpr int64_t kRowGrain = 16;

// Calls f(kernels, first row, rows) on all threads, over the rows of x.
template <class F>
void for_rows(const at::Tensor& x, F f) {
  kernels::with_kernels(x, [&](const auto& k) {
    parallel_for(x.size(0), kRowGrain,
                 [&](int64_t first, int64_t last) { f(k, as_size(first), as_size(last - first)); });
  });
}

// Columns [column, column + width) of rows [first, first + rows) of x.
template <class T>
kernels::Matrix<T> part(const at::Tensor& x, size_t first, size_t rows, int64_t column, int64_t width) {
  return kernels::view<T>(x).row_range(first, rows).column_range(as_size(column), as_size(width));
}

std::span<const float> floats_of(const at::Tensor& w) { return {w.const_data_ptr<float>(), as_size(w.numel())}; }

}  // namespace

void norm_columns(const Norm& norm, const at::Tensor& x, const at::Tensor& y, int64_t column, int64_t width) {
  const at::Tensor w = norm.multiplier();
  for_rows(x, [&]<class T>(const kernels::Kernels<T>& k, size_t first, size_t rows) {
    k.elementwise.rms_norm(part<T>(x, first, rows, column, width), floats_of(w), part<T>(y, first, rows, column, width),
                           static_cast<float>(norm.eps));
  });
}

void norm_columns_backward(const Norm& norm, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& base,
                           const at::Tensor& dx, int64_t column, int64_t width) {
  const at::Tensor w = norm.multiplier();
  for_rows(x, [&]<class T>(const kernels::Kernels<T>& k, size_t first, size_t rows) {
    const auto of = [&](const at::Tensor& t) { return part<T>(t, first, rows, column, width); };
    k.elementwise.rms_norm_backward(of(x), floats_of(w), of(dy), base.defined() ? of(base) : kernels::Matrix<T>(),
                                    of(dx), static_cast<float>(norm.eps));
  });
}

void rotate(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin, const HeadLayout& layout,
            float direction) {
  for_rows(qkv, [&]<class T>(const kernels::Kernels<T>& k, size_t first, size_t rows) {
    k.elementwise.rope(part<T>(qkv, first, rows, 0, (layout.heads + layout.kv_heads) * layout.dim), as_size(layout.dim),
                       kernels::view<const float>(cos).row_range(first, rows),
                       kernels::view<const float>(sin).row_range(first, rows), direction);
  });
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  at::Tensor y = at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
  for_rows(y, [&]<class T>(const kernels::Kernels<T>& k, size_t first, size_t rows) {
    k.elementwise.swiglu(kernels::view<T>(gate_up).row_range(first, rows), kernels::view<T>(y).row_range(first, rows));
  });
  return y;
}

void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& dy) {
  for_rows(dy, [&]<class T>(const kernels::Kernels<T>& k, size_t first, size_t rows) {
    k.elementwise.swiglu_backward(kernels::view<T>(gate_up).row_range(first, rows),
                                  kernels::view<T>(dy).row_range(first, rows));
  });
}

at::Tensor dropout(const at::Tensor& x, double p, uint64_t key) {
  if (p == 0) return x;
  const at::Tensor from = x.contiguous();
  at::Tensor to = at::empty_like(from);
  kernels::with_kernels(from, [&]<class T>(const kernels::Kernels<T>& k) {
    parallel_for(from.numel(), 1 << 15, [&](int64_t first, int64_t last) {
      k.elementwise.dropout(kernels::data<T>(from) + first, kernels::data<T>(to) + first, as_size(last - first),
                            static_cast<float>(p), key, static_cast<uint32_t>(first));
    });
  });
  return to;
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, bool gradient) {
  const at::Tensor losses = at::empty({logits.size(0)}, at::kFloat);
  kernels::with_kernels(logits, [&]<class T>(const kernels::Kernels<T>& k) {
    parallel_for(logits.size(0), 1, [&](int64_t first, int64_t last) {
      k.elementwise.cross_entropy(kernels::view<T>(logits).row_range(as_size(first), as_size(last - first)),
                                  targets.const_data_ptr<int64_t>() + first, losses.data_ptr<float>() + first,
                                  gradient);
    });
  });
  return losses;
}

}  // namespace lora::cpu
