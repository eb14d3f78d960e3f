#pragma once
// From tensors to kernels.

#include <ATen/core/Tensor.h>

#include "models/base/numbers.h"
#include "models/engine/cpu/matrix.h"
#include "models/engine/cpu/table.h"

namespace lora::kernels {

// Calls f(float{}) or f(Bf16{}).
template <class F>
void for_type(at::ScalarType dtype, F f) {
  if (dtype == at::kBFloat16) return f(Bf16{});
  f(float{});
}
template <class F>
void for_type(const at::Tensor& t, F f) {
  for_type(t.scalar_type(), f);
}

// Calls f with the kernels for the tensor's dtype: f(const Kernels<T>&), where T is float or Bf16.
template <class F>
void with_kernels(const at::Tensor& t, F f) {
  for_type(t, [&](auto type) { f(table<decltype(type)>()); });
}

template <class T>
T* data(const at::Tensor& t) {
  return reinterpret_cast<T*>(t.data_ptr());
}

// t (rows, columns), its columns contiguous.
template <class T>
Matrix<T> view(const at::Tensor& t) {
  return {data<T>(t), as_size(t.size(0)), as_size(t.size(1)), as_size(t.stride(0))};
}

}  // namespace lora::kernels
