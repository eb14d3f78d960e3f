#pragma once
// Rotary position embedding (Su et al. 2021) in the half-split layout of Hugging Face: of the R dimensions of a head
// that turn, i turns with i + R/2.

#include <ATen/core/Tensor.h>

#include <vector>

#include "models/network/config.h"

namespace lora {

// The angle of dimension pair i at position 1, (R/2) float32, after `rope_type`: default (dynamic); linear (θ/factor);
// llama3 (Llama 3.1's smooth interpolation between wavelengths); yarn (Peng et al. 2023); longrope (Ding et al. 2024),
// whose pairs have other factors in a context longer than the original.
at::Tensor rope_frequencies(const RopeConfig& rope, int64_t head_dim, bool long_context = false);

// Throws ModelError for a text of so many tokens that its angles are not computed here: dynamic RoPE beyond the model's
// positions.
void expect_positions(const RopeConfig& rope, int64_t length);

// Cosines and sines, (…, R/2) float32 each, times the attention factor.
struct RopeTable {
  at::Tensor cos, sin;
};

// The rotary embedding of samples, from tables grown to the longest position seen. Used by one thread.
class RopePositions {
 public:
  RopePositions(RopeConfig rope, int64_t head_dim, int64_t max_positions);
  // Sample i has lengths[i] tokens at positions starts[i] … -> (N, R/2). In LongRoPE a sample that ends beyond the
  // original context is turned by the long factors; ModelError where its earlier tokens have been turned by the short
  // ones already.
  RopeTable of(const std::vector<int64_t>& starts, const std::vector<int64_t>& lengths, const at::Device& device);

 private:
  RopeTable table(int64_t positions, bool long_context) const;
  RopeConfig rope_;
  int64_t head_dim_, max_positions_;
  RopeTable short_, long_;
};

// x (N, heads, D) with cos, sin (N, R/2) of each token -> the same shape and dtype; dimensions from R on stay.
at::Tensor apply_rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace lora
