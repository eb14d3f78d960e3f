#pragma once
// ggml's tensor types, as GGUF files store numbers: the types that this project writes and reads.

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lora {

// The file's type codes. kQ8_0: blocks of 32 values in a row, each an F16 scale d = max|x| / 127 and 32 int8 x / d.
enum class GgmlType : uint32_t { kF32 = 0, kF16 = 1, kQ8_0 = 8, kBF16 = 30 };

// "F32", "F16", "Q8_0", "BF16"; empty for any other code.
std::string_view ggml_name(GgmlType type);
// The type with this name, in upper or lower case.
std::optional<GgmlType> ggml_type(std::string_view name);

// The number of values per block.
int64_t ggml_block(GgmlType type);
// The bytes of a row of `values` values, a multiple of the block.
size_t ggml_bytes(GgmlType type, int64_t values);

// Encodes whole rows into ggml_bytes(type, values.size()) bytes at `to`, in parallel. The bytes equal those of ggml's
// own quantizer. Returns false if a finite value exceeds the range of F16.
bool ggml_encode(GgmlType type, std::span<const float> values, std::byte* to);
void ggml_decode(GgmlType type, const std::byte* from, std::span<float> values);

}  // namespace lora
