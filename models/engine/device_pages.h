#pragma once
// Pages of keys and values (kv_pages.h) in the memory of a device that is not the CPU: two tensors a layer, which grow with
// the pages that are held, up to a bound.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "models/engine/kv_pages.h"

namespace lora {

// Used by one thread. Pages keep it alive.
class DevicePages : public std::enable_shared_from_this<DevicePages> {
 public:
  // (pages, kPageTokens, kv_heads, dim) of the layout's dtype. Of 8 bits, with scales (pages, kPageTokens, kv_heads, 1)
  // float32, which are undefined otherwise. Where no token is yet, there are zeros.
  struct Layer {
    at::Tensor keys, values, key_scales, value_scales;
  };

  // For at most so many pages, at least one.
  DevicePages(const KvLayout& layout, at::Device device, int64_t most);

  // Throws Error (exit code 4) where all pages are taken. A page is free again when its last owner lets it go.
  std::shared_ptr<KvPage> new_page();
  std::shared_ptr<KvPage> copy_of(const KvPage& page);

  const Layer& layer(size_t index) const { return layers_[index]; }
  int64_t most() const { return most_; }
  int64_t free() const { return most_ - taken_; }

 private:
  static std::vector<at::Tensor*> tensors(Layer& layer);
  void grow();
  void clean();

  KvLayout layout_;
  at::Device device_;
  int64_t most_, held_ = 0, taken_ = 0;  // pages
  std::vector<Layer> layers_;
  std::vector<int64_t> clean_, given_back_;  // places that are free: zeros, and what was written by others
};

}  // namespace lora
