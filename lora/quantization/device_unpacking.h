#pragma once
// Weights in few bits made dense by ATen's operations, on devices that the kernels of models/engine/cpu/quantized.h do not
// reach. The values have the kernels' bits. Some memory beside the result is taken, but not of its size.

#include <ATen/core/Tensor.h>

#include "lora/quantization/nested_scales.h"

namespace lora {

// Whether the kernels write such a matrix: float32 or bfloat16 on the CPU.
inline bool unpacked_by_kernels(const at::Tensor& to) { return to.is_cpu() && to.scalar_type() != at::kHalf; }

// Writes `to` (out, in), contiguous, of the codes and scales of an Int8Weight or an Nf4Weight on its device.
void unpack_int8(const at::Tensor& codes, const at::Tensor& scales, at::Tensor& to);
void unpack_nf4(const at::Tensor& codes, const at::Tensor& scales, at::Tensor& to);

// All scales (blocks), float32, on the device of the codes.
at::Tensor decoded_scales(const NestedScales& nested);

}  // namespace lora
