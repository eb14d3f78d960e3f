#pragma once
// A weight read piece by piece as float32, on all threads, without a float32 copy of the whole.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace lora {

// Calls f(first, values, count) for pieces of `values` (contiguous) of `piece` elements, the last as long as what is
// left. Which pieces there are does not depend on the threads.
void for_each_piece(const at::Tensor& values, int64_t piece,
                    const std::function<void(int64_t first, const float* values, int64_t count)>& f);

// ‖W − Ŵ‖ / ‖W‖ over the same pieces, where decode(first, to, count) writes Ŵ's; 0 where both are 0.
double relative_difference(const at::Tensor& values, int64_t piece,
                           const std::function<void(int64_t first, float* to, int64_t count)>& decode);

}  // namespace lora
