#pragma once
// Converts between dtype names of safetensors and LibTorch's dtypes.

#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <string_view>

namespace lora {

std::optional<at::ScalarType> dtype_from_safetensors(std::string_view name);
// Empty if the format does not have this dtype.
std::string_view dtype_to_safetensors(at::ScalarType dtype);
// The sort key of tensors in a file: the widest dtype has the highest rank.
int safetensors_rank(at::ScalarType dtype);
// "BOOL, U8, …", for error messages.
std::string safetensors_dtype_names();

}  // namespace lora
