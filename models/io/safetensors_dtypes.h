#pragma once
// safetensors' dtype names and LibTorch's.

#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <string_view>

namespace lora {

std::optional<at::ScalarType> dtype_from_safetensors(std::string_view name);
// Empty when the format has no such dtype.
std::string_view dtype_to_safetensors(at::ScalarType dtype);
// Place in the order of tensors in a file: the widest dtype has the highest rank.
int safetensors_rank(at::ScalarType dtype);
// "BOOL, U8, …", for messages.
std::string safetensors_dtype_names();

}  // namespace lora
