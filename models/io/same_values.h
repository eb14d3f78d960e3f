#pragma once
// Comparing tensors of files, which may have any dtype of safetensors.

#include <ATen/core/Tensor.h>

namespace lora {

// Whether both have the same shape and the same numbers, whatever dtypes hold them. NaN is not NaN. For dtypes that
// at::equal does not compare, and for two of them, both are read as float32.
bool same_values(const at::Tensor& a, const at::Tensor& b);

}  // namespace lora
