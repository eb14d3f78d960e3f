#pragma once
// Memory of a thread that kernels use again and again.

#include <ATen/ops/empty.h>

namespace lora {

// At least so many floats, at the start of a cache line; what they hold is lost at this thread's next call.
inline float* thread_scratch(size_t floats) {
  thread_local at::Tensor room;
  const auto wanted = static_cast<int64_t>(floats);
  if (!room.defined() || room.numel() < wanted) room = at::empty({wanted}, at::kFloat);
  return room.data_ptr<float>();
}

}  // namespace lora
