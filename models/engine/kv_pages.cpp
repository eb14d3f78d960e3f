#include "models/engine/kv_pages.h"

#include <ATen/ops/zeros.h>

#include "models/engine/cpu/paged_attention.h"

namespace lora {

static_assert(kernels::kPage == kPageTokens);

int64_t KvLayout::head_elements() const {
  const auto elements =
      dtype == at::kChar ? kernels::page_elements<int8_t>(as_size(dim)) : kernels::page_elements<float>(as_size(dim));
  return static_cast<int64_t>(elements);
}

int64_t KvLayout::page_bytes() const {
  return layers * layer_elements() * static_cast<int64_t>(c10::elementSize(dtype));
}

// Zeros: a place that no token has yet is multiplied by a probability of zero.
std::shared_ptr<KvPage> KvLayout::new_page() const {
  return std::make_shared<KvPage>(KvPage{at::zeros({layers * layer_elements()}, dtype)});
}

}  // namespace lora
