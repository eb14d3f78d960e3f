#pragma once
// Keys and values of tokens already seen, for generation.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lora {

// Holds `slots` independent sequences of at most `capacity` tokens. A forward pass with a cache reads sample i of its
// batch as the continuation of sequence active[i]. Used by one thread, without gradients.
struct KvCache {
  KvCache(int64_t layers, int64_t slots, int64_t capacity, int64_t kv_heads, int64_t head_dim,
          const at::TensorOptions& options);
  // Makes room for at least `capacity` tokens a sequence; what is held stays.
  void reserve(int64_t capacity);

  std::vector<at::Tensor> keys, values;  // a layer each: (slots, capacity, kv_heads, head_dim)
  std::vector<int64_t> lengths;          // tokens held, a slot each
  std::vector<int64_t> active;           // the slot of each sample of the next batch
};

}  // namespace lora
