#include "lora/quantization/nested_scales.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "models/base/numbers.h"

namespace lora {

// Seven decades; each has twice as many levels as the next smaller one. The levels are the midpoints of equal steps
// from 0.1 to 1, times a power of ten. Computed in float32 by ATen's operations, in the order that gives the same bits
// as bitsandbytes' table.
const std::array<float, 256>& dynamic_levels() {
  static const std::array<float, 256> levels = [] {
    std::array<float, 256> made{};
    size_t next = 0;
    for (int decade = 0; decade < 7; ++decade) {
      const at::Tensor steps = at::linspace(0.1, 1.0, (int64_t{1} << decade) + 1, at::kFloat);
      const at::Tensor means = (steps.slice(0, 0, -1) + steps.slice(0, 1)) / 2.0 * std::pow(10.0, decade - 6);
      for (int64_t i = 0; i < means.numel(); ++i) {
        made[next++] = means.const_data_ptr<float>()[i];
        made[next++] = -means.const_data_ptr<float>()[i];
      }
    }
    made[next++] = 0;
    made[next] = 1;
    std::ranges::sort(made);
    return made;
  }();
  return levels;
}

void NestedScales::decode(int64_t begin, int64_t end, float* scales) const {
  const std::array<float, 256>& levels = dynamic_levels();
  const uint8_t* const code = codes.const_data_ptr<uint8_t>();
  const float* const largest = absmax.const_data_ptr<float>();
  for (int64_t i = begin; i < end; ++i) scales[i - begin] = levels[code[i]] * largest[i / kNestedBlock] + offset;
}

NestedScales nest_scales(const at::Tensor& scales) {
  NestedScales nested;
  nested.offset = scales.mean().item<float>();
  const int64_t n = scales.numel(), blocks = ceil_div(n, kNestedBlock);
  at::Tensor centred = at::zeros({blocks * kNestedBlock}, at::kFloat);
  centred.narrow(0, 0, n).copy_(scales - nested.offset);
  centred = centred.view({blocks, kNestedBlock});
  nested.absmax = centred.abs().amax(1);
  const at::Tensor scaled = (centred * nested.absmax.clamp_min(1e-38).reciprocal().unsqueeze(1)).view(-1);
  const auto& levels = dynamic_levels();
  const at::Tensor table = at::from_blob(const_cast<float*>(levels.data()), {256}, at::kFloat);  // read only
  const at::Tensor bounds = (table.slice(0, 0, -1) + table.slice(0, 1)) / 2;
  nested.codes = at::bucketize(scaled.narrow(0, 0, n), bounds, /*out_int32=*/true).to(at::kByte);
  return nested;
}

}  // namespace lora
