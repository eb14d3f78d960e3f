#pragma once
// Keys and values of many sequences in pages, for decoding. A page holds kPageTokens tokens of one sequence, of all
// layers. A sequence grows page by page; a full page does not change again, so sequences with the same beginning may
// share its pages.
//
// Keys and values have the model's dtype, or 8 bits: half of bfloat16's memory. Each token of each head is rounded with a
// scale of its own then, the largest of its numbers / 127, as llama.cpp's q8_0 does in blocks of 32.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "models/engine/attention.h"

namespace lora {

inline constexpr int64_t kPageTokens = 32;

enum class KvDtype { kModel, kInt8 };

// One page. On the CPU it has memory of its own, [layer][keys, values][kv head]: keys of a head are (dim, kPageTokens), so
// that a product with a query gives the scores of neighbouring tokens in neighbouring lanes; values are (kPageTokens, dim).
// Of 8 bits, the scales follow, (kPageTokens) float32. On another device it is a place in tensors that all pages share
// (device_pages.h).
struct KvPage {
  at::Tensor memory = {};  // float32, bfloat16 or int8; undefined on a device
  int64_t place = 0;       // on a device
};

// What all pages of a model have in common.
struct KvLayout {
  int64_t layers, kv_heads, dim;
  at::ScalarType dtype;  // kFloat, kBFloat16 or kChar; on a device kHalf too

  int64_t head_elements() const;
  int64_t layer_elements() const { return 2 * kv_heads * head_elements(); }
  int64_t page_bytes() const;
  // Where the keys, or the values, of a head begin in a page.
  int64_t keys(int64_t layer, int64_t head) const { return layer * layer_elements() + head * head_elements(); }
  int64_t values(int64_t layer, int64_t head) const { return keys(layer, kv_heads + head); }
  std::shared_ptr<KvPage> new_page() const;  // zeros, on the CPU
};

// A sequence's tokens so far: token t is in page t / kPageTokens.
struct KvSequence {
  std::vector<std::shared_ptr<KvPage>> pages;
  int64_t length = 0;
};

}  // namespace lora
