#pragma once
// Memory of a thread for kernels, kept between calls.

#include <ATen/ops/empty.h>

namespace lora {

// At least so many floats, aligned to a cache line. This thread's next call may overwrite or free them.
inline float* thread_scratch(size_t floats) {
  thread_local at::Tensor memory;
  const auto n = static_cast<int64_t>(floats);
  if (!memory.defined() || memory.numel() < n) memory = at::empty({n}, at::kFloat);
  return memory.data_ptr<float>();
}

}  // namespace lora
