#pragma once
// From a tensor to the element type that its kernels are compiled for.

#include <ATen/core/Tensor.h>

#include "models/engine/cpu/bf16.h"

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

template <class T>
T* data(const at::Tensor& t) {
  return reinterpret_cast<T*>(t.data_ptr());
}

}  // namespace lora::kernels
