#pragma once
// Attention of new tokens against the pages of their sequences (models/engine/device_pages.h) in ATen's operations. Its
// counterpart on the CPU is cpu/paged_attention.h.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "models/engine/attention.h"
#include "models/engine/device_pages.h"

namespace lora::aten {

// Keys and values (N, kv_heads, dim) of N tokens into their slots (N) int64: page · kPageTokens + the place in it.
void store_tokens(const DevicePages::Layer& pages, const at::Tensor& slots, const at::Tensor& keys,
                  const at::Tensor& values);

// Sequences that are attended to in one call: S of them, each with T new tokens and P pages that these see.
struct PagedGroup {
  int64_t sequences, tokens;
  at::Tensor rows;   // (S·T) int64: the tokens' rows in a pass; undefined: they are all of its rows, in order
  at::Tensor pages;  // (S·P) int64; a shorter sequence repeats one of its own
  at::Tensor mask;   // page_mask
};

// What is added to scores: 0, or −infinity where a token does not see a key. (S, 1, T or 1 for T = 1, P·kPageTokens), for
// the queries of a group of heads one after another (S, 1, group·T, …). first (S) int64: the position that a sequence's
// first page here begins with. positions (S·T) int64: of the tokens.
at::Tensor page_mask(const at::Tensor& first, const at::Tensor& positions, int64_t pages, int64_t group, int64_t window,
                     at::ScalarType dtype);

// q (S·T, heads·dim), rotated -> shaped alike, of its dtype. Scores, and sums over keys, are wide.
at::Tensor attend_pages(const at::Tensor& q, const DevicePages::Layer& pages, const PagedGroup& group,
                        const HeadLayout& layout, const AttentionScores& scores);

}  // namespace lora::aten
