// The steps between the products, over the rows of all tokens.

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>

#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"
#include "models/engine/cpu/elementwise.h"
#include "models/engine/cpu/operations.h"

namespace lora::cpu {
namespace {

// Rows a thread takes at a time: small enough to share out short batches, large enough not to notice.
constexpr int64_t kRowGrain = 16;

template <class F>
void for_rows(int64_t rows, F f) {
  parallel_for(rows, kRowGrain, [&](int64_t first, int64_t last) { f(first, static_cast<size_t>(last - first)); });
}

template <class T>
T* row(const at::Tensor& x, int64_t token, int64_t column) {
  return kernels::data<T>(x) + token * x.stride(0) + column;
}

}  // namespace

void norm_columns(const Norm& norm, const at::Tensor& x, const at::Tensor& y, int64_t column, int64_t width) {
  const at::Tensor w = norm.multiplier();
  const auto size = static_cast<size_t>(w.size(0)), count = static_cast<size_t>(width) / size;
  kernels::for_type(x, [&](auto type) {
    using T = decltype(type);
    for_rows(x.size(0), [&](int64_t first, size_t rows) {
      for (int64_t t = first; t < first + static_cast<int64_t>(rows); ++t) {
        kernels::rms_norm(row<T>(x, t, column), w.const_data_ptr<float>(), row<T>(y, t, column), count, size,
                          static_cast<float>(norm.eps));
      }
    });
  });
}

void norm_columns_backward(const Norm& norm, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& base,
                           const at::Tensor& dx, int64_t column, int64_t width) {
  const at::Tensor w = norm.multiplier();
  const auto size = static_cast<size_t>(w.size(0)), count = static_cast<size_t>(width) / size;
  kernels::for_type(x, [&](auto type) {
    using T = decltype(type);
    for_rows(x.size(0), [&](int64_t first, size_t rows) {
      for (int64_t t = first; t < first + static_cast<int64_t>(rows); ++t) {
        kernels::rms_norm_backward(row<T>(x, t, column), w.const_data_ptr<float>(), row<T>(dy, t, column),
                                   base.defined() ? row<T>(base, t, column) : nullptr, row<T>(dx, t, column), count,
                                   size, static_cast<float>(norm.eps));
      }
    });
  });
}

void rotate(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin, const HeadLayout& layout,
            float direction) {
  const int64_t width = layout.width(), half = cos.size(1);
  kernels::for_type(qkv, [&](auto type) {
    using T = decltype(type);
    for_rows(qkv.size(0), [&](int64_t first, size_t rows) {
      kernels::rope(kernels::data<T>(qkv) + first * width, static_cast<size_t>(width),
                    cos.const_data_ptr<float>() + first * half, sin.const_data_ptr<float>() + first * half, rows,
                    static_cast<size_t>(layout.heads + layout.kv_heads), static_cast<size_t>(layout.dim),
                    static_cast<size_t>(2 * half), direction);
    });
  });
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  const int64_t width = gate_up.size(1) / 2;
  at::Tensor y = at::empty({gate_up.size(0), width}, gate_up.options());
  kernels::for_type(y, [&](auto type) {
    using T = decltype(type);
    for_rows(y.size(0), [&](int64_t first, size_t rows) {
      kernels::swiglu(kernels::data<T>(gate_up) + 2 * first * width, kernels::data<T>(y) + first * width, rows,
                      static_cast<size_t>(width));
    });
  });
  return y;
}

void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& dy) {
  const int64_t width = dy.size(1);
  kernels::for_type(dy, [&](auto type) {
    using T = decltype(type);
    for_rows(dy.size(0), [&](int64_t first, size_t rows) {
      kernels::swiglu_backward(kernels::data<T>(gate_up) + 2 * first * width, kernels::data<T>(dy) + first * width,
                               rows, static_cast<size_t>(width));
    });
  });
}

at::Tensor dropout(const at::Tensor& x, double p, uint64_t key) {
  if (p == 0) return x;
  const at::Tensor from = x.contiguous();
  at::Tensor to = at::empty_like(from);
  kernels::for_type(from, [&](auto type) {
    using T = decltype(type);
    parallel_for(from.numel(), 1 << 15, [&](int64_t first, int64_t last) {
      kernels::dropout(kernels::data<T>(from) + first, kernels::data<T>(to) + first, static_cast<size_t>(last - first),
                       static_cast<float>(p), key, static_cast<uint32_t>(first));
    });
  });
  return to;
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, bool gradient) {
  const int64_t rows = logits.size(0), vocab = logits.size(1);
  const at::Tensor losses = at::empty({rows}, at::kFloat);
  kernels::for_type(logits, [&](auto type) {
    using T = decltype(type);
    parallel_for(rows, 1, [&](int64_t first, int64_t last) {
      kernels::cross_entropy(kernels::data<T>(logits) + first * vocab, targets.const_data_ptr<int64_t>() + first,
                             losses.data_ptr<float>() + first, static_cast<size_t>(last - first),
                             static_cast<size_t>(vocab), gradient);
    });
  });
  return losses.sum(at::kDouble);
}

}  // namespace lora::cpu
