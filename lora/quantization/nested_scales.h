#pragma once
// Double quantisation (Dettmers et al. 2023, §3): the scales of NF4's blocks in eight bits themselves, by the dynamic
// tree of Dettmers (2016) as bitsandbytes lays it out, in blocks of 256 after their mean is taken off.

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

namespace lora {

inline constexpr int64_t kNestedBlock = 256;

struct NestedScales {
  at::Tensor codes;   // (blocks) uint8: levels of dynamic_levels(), the nearest to (scale − offset) / absmax
  at::Tensor absmax;  // (⌈blocks / 256⌉) float32
  float offset = 0;   // the mean scale

  // Scales [begin, end) as float32, from codes, absmax and offset.
  void decode(int64_t begin, int64_t end, float* scales) const;
};

// The 256 levels in [−0.993, 1], ascending.
const std::array<float, 256>& dynamic_levels();

// scales (blocks) float32 on the CPU.
NestedScales nest_scales(const at::Tensor& scales);

}  // namespace lora
