#pragma once
// Keys and values of many sequences in pages, for decoding. A page holds kPageTokens tokens of one sequence, of all
// layers. A sequence grows page by page; a full page does not change again, so sequences with the same beginning may
// share its pages.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "models/engine/attention.h"

namespace lora {

inline constexpr int64_t kPageTokens = 32;

// Memory of one page: [layer][keys, values][kv head]. Keys of a head are (dim, kPageTokens), so that a product with a
// query gives the scores of neighbouring tokens in neighbouring lanes; values are (kPageTokens, dim).
struct KvPage {
  at::Tensor memory;  // float32 or bfloat16
};

// What all pages of a model have in common.
struct KvLayout {
  int64_t layers, kv_heads, dim;
  at::ScalarType dtype;

  int64_t head_elements() const { return kPageTokens * dim; }
  int64_t layer_elements() const { return 2 * kv_heads * head_elements(); }
  int64_t page_bytes() const;
  // Where the keys, or the values, of a head begin in a page.
  int64_t keys(int64_t layer, int64_t head) const { return layer * layer_elements() + head * head_elements(); }
  int64_t values(int64_t layer, int64_t head) const { return keys(layer, kv_heads + head); }
  std::shared_ptr<KvPage> new_page() const;  // zeros
};

// A sequence's tokens so far: token t is in page t / kPageTokens.
struct KvSequence {
  std::vector<std::shared_ptr<KvPage>> pages;
  int64_t length = 0;
};

}  // namespace lora
