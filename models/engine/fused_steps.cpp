#include "models/engine/fused_steps.h"

#include <ATen/ATen.h>

#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"
#include "models/engine/cpu/elementwise.h"
#include "models/engine/profile.h"

namespace lora {
namespace {

// Rows a thread takes at a time: small enough to share out short batches, large enough not to notice.
constexpr int64_t kRowGrain = 16;

template <class F>
void for_rows(int64_t rows, F f) {
  const WorkScope scope(Work::kElementwise);
  parallel_for(rows, kRowGrain, [&](int64_t first, int64_t last) { f(first, static_cast<size_t>(last - first)); });
}

template <class T>
T* row(const at::Tensor& x, int64_t token, int64_t column) {
  return kernels::data<T>(x) + token * x.stride(0) + column;
}

}  // namespace

at::Tensor Norm::multiplier() const { return one_plus ? weight.to(at::kFloat) + 1 : weight.to(at::kFloat); }

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

at::Tensor normed(const Norm& norm, const at::Tensor& x) {
  if (!norm.there()) return x;
  const at::Tensor y = at::empty_like(x);
  norm_columns(norm, x, y, 0, x.size(1));
  return y;
}

void normed_backward(const Norm& norm, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& base,
                     const at::Tensor& dx) {
  if (norm.there()) return norm_columns_backward(norm, x, dy, base, dx, 0, x.size(1));
  dx.copy_(base.defined() ? base + dy : dy);
}

at::Tensor gradient_through(const Norm& norm, const at::Tensor& x, const at::Tensor& dy,
                            std::vector<at::Tensor>& grads) {
  if (!norm.there()) return dy;
  if (norm.trained()) grads.push_back(norm_weight_gradient(norm, x, dy));
  const at::Tensor dx = at::empty_like(dy);
  normed_backward(norm, x, dy, /*base=*/{}, dx);
  return dx;
}

// Full fine-tuning alone, so plain tensors do.
at::Tensor norm_weight_gradient(const Norm& norm, const at::Tensor& x, const at::Tensor& dy) {
  const int64_t width = norm.weight.size(0);
  const at::Tensor wide = x.reshape({-1, width}).to(at::kFloat);
  const at::Tensor n = wide * wide.pow(2).mean(-1, /*keepdim=*/true).add_(norm.eps).rsqrt_();
  return n.mul_(dy.reshape({-1, width})).sum(0).to(norm.weight.scalar_type());
}

void rotate(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin, const HeadLayout& layout,
            float direction) {
  if (!cos.defined()) return;
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

at::Tensor geglu(const at::Tensor& gate_up) {
  const WorkScope scope(Work::kElementwise);
  const auto halves = gate_up.chunk(2, 1);
  return at::gelu(halves[0], "tanh").mul_(halves[1]);
}

void geglu_backward(const at::Tensor& gate_up, const at::Tensor& dy) {
  const WorkScope scope(Work::kElementwise);
  const auto halves = gate_up.chunk(2, 1);
  const at::Tensor bent = at::gelu(halves[0], "tanh"), act = bent * halves[1];
  halves[0].copy_(at::gelu_backward(dy * halves[1], halves[0], "tanh"));
  halves[1].copy_(bent.mul_(dy));
  at::Tensor(dy).copy_(act);
}

}  // namespace lora
