#include "models/network/kv_cache.h"

#include <ATen/ATen.h>

namespace lora {

KvCache::KvCache(int64_t layers, int64_t slots, int64_t capacity, int64_t kv_heads, int64_t head_dim,
                 const at::TensorOptions& options)
    : lengths(static_cast<size_t>(slots), 0) {
  for (int64_t i = 0; i < layers; ++i) {
    keys.push_back(at::empty({slots, capacity, kv_heads, head_dim}, options));
    values.push_back(at::empty({slots, capacity, kv_heads, head_dim}, options));
  }
  for (int64_t i = 0; i < slots; ++i) active.push_back(i);
}

void KvCache::reserve(int64_t capacity) {
  for (auto* side : {&keys, &values}) {
    for (at::Tensor& held : *side) {
      if (held.size(1) >= capacity) continue;
      at::Tensor roomy =
          held.new_empty({held.size(0), std::max(capacity, 2 * held.size(1)), held.size(2), held.size(3)});
      roomy.narrow(1, 0, held.size(1)).copy_(held);
      held = roomy;
    }
  }
}

}  // namespace lora
