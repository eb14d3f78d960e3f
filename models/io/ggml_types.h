#pragma once
// How GGUF holds numbers: ggml's tensor types, those of them that this project writes and reads.

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lora {

// The codes are the file's. kQ8_0: blocks of 32 values of a row, an F16 scale d = max|x| / 127 and 32 int8 x / d.
enum class GgmlType : uint32_t { kF32 = 0, kF16 = 1, kQ8_0 = 8, kBF16 = 30 };

// "F32", "F16", "Q8_0", "BF16"; empty for a code that is none of them.
std::string_view ggml_name(GgmlType type);
// By the name, in either case.
std::optional<GgmlType> ggml_type(std::string_view name);

// Values of a row come in blocks of this many.
int64_t ggml_block(GgmlType type);
// Bytes of a row of `values`, a multiple of the block.
size_t ggml_bytes(GgmlType type, int64_t values);

// Encodes whole rows, ggml_bytes(type, values.size()) bytes into `to`. The bytes are those of ggml's own quantizer.
// Threads of models/parallel.h. Returns false where a finite value is beyond what F16 holds.
bool ggml_encode(GgmlType type, std::span<const float> values, std::byte* to);
void ggml_decode(GgmlType type, const std::byte* from, std::span<float> values);

}  // namespace lora
