#pragma once
// Rotary position embedding (Su et al. 2021) in the half-split layout of Hugging Face: dimension i turns with i + D/2.

#include <ATen/core/Tensor.h>

#include "models/config.h"

namespace lora {

// The angle of dimension pair i at position 1, (D/2) float32, after `rope_type`: default; linear (θ/factor); llama3
// (Llama 3.1's smooth interpolation between wavelengths).
at::Tensor rope_frequencies(const RopeConfig& rope, int64_t head_dim);

// Cosines and sines of positions 0 … positions-1, each (positions, D/2) float32.
struct RopeTable {
  at::Tensor cos, sin;
};
RopeTable make_rope_table(const RopeConfig& rope, int64_t head_dim, int64_t positions);

// x (N, heads, D) with cos, sin (N, D/2) of each token's position -> the same shape and dtype.
at::Tensor apply_rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace lora
