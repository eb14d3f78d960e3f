#pragma once
// Reads a weight in pieces as float32, in parallel, without a float32 copy of the whole.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace lora {

// Calls f(first, values, count) for pieces of `values` (contiguous). A piece has `piece` elements; the last one may
// have fewer. The pieces do not depend on the number of threads.
void for_each_piece(const at::Tensor& values, int64_t piece,
                    const std::function<void(int64_t first, const float* values, int64_t count)>& f);

// ‖W − Ŵ‖ / ‖W‖ over the same pieces, where decode(first, to, count) writes Ŵ. 0 if both are 0.
double relative_difference(const at::Tensor& values, int64_t piece,
                           const std::function<void(int64_t first, float* to, int64_t count)>& decode);

}  // namespace lora
