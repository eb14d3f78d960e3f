#include "models/engine/kv_pages.h"

#include <ATen/ops/zeros.h>

namespace lora {

int64_t KvLayout::page_bytes() const {
  return layers * layer_elements() * static_cast<int64_t>(c10::elementSize(dtype));
}

// Zeros: a place that no token has yet is multiplied by a probability of zero.
std::shared_ptr<KvPage> KvLayout::new_page() const {
  return std::make_shared<KvPage>(KvPage{at::zeros({layers * layer_elements()}, dtype)});
}

}  // namespace lora
