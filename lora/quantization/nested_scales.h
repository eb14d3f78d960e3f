#pragma once
// Double quantisation (Dettmers et al. 2023, §3): the block scales of NF4 are stored in eight bits. The code is the
// dynamic tree of Dettmers (2016) in bitsandbytes' layout: the mean is subtracted, and blocks of 256 are scaled.

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

namespace lora {

inline constexpr int64_t kNestedBlock = 256;

struct NestedScales {
  at::Tensor codes;   // (blocks) uint8: index of the nearest level to (scale − offset) / absmax
  at::Tensor absmax;  // (⌈blocks / 256⌉) float32
  float offset = 0;   // mean of the scales

  // Decodes scales [begin, end) to float32.
  void decode(int64_t begin, int64_t end, float* scales) const;
};

// The 256 levels in [−0.993, 1], ascending.
const std::array<float, 256>& dynamic_levels();

// scales: (blocks) float32, CPU.
NestedScales nest_scales(const at::Tensor& scales);

}  // namespace lora
