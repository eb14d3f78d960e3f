#include "lora/quantization/device_unpacking.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "models/base/numbers.h"
#include "models/engine/cpu/quantized.h"
#include "models/engine/devices.h"

namespace lora {
namespace {

constexpr int64_t kPieceValues = int64_t{1} << 22;  // made at a time, in float32
constexpr auto kBlockValues = static_cast<int64_t>(kernels::kNf4Block);

// A small table of numbers on the device of `like`.
at::Tensor table_beside(const std::vector<float>& values, const at::Tensor& like) {
  return on_device(at::tensor(values, at::kFloat), like.device());
}

// The two levels of each byte: (256, 2).
at::Tensor nf4_pairs(const at::Tensor& like) {
  std::vector<float> pairs;
  for (size_t byte = 0; byte < 256; ++byte) {
    pairs.push_back(kernels::kNf4Levels[byte >> 4]);
    pairs.push_back(kernels::kNf4Levels[byte & 15]);
  }
  return table_beside(pairs, like).view({256, 2});
}

}  // namespace

void unpack_int8(const at::Tensor& codes, const at::Tensor& scales, at::Tensor& to) {
  const int64_t rows = std::max<int64_t>(1, kPieceValues / codes.size(1));
  for (int64_t first = 0; first < codes.size(0); first += rows) {
    const int64_t count = std::min(rows, codes.size(0) - first);
    const at::Tensor values = codes.narrow(0, first, count).to(at::kFloat);
    to.narrow(0, first, count).copy_(values.mul_(scales.narrow(0, first, count).unsqueeze(1)).mul_(1.0f / 127.0f));
  }
}

void unpack_nf4(const at::Tensor& codes, const at::Tensor& scales, at::Tensor& to) {
  const at::Tensor pairs = nf4_pairs(codes), flat = to.view({-1});
  // Writes values [first, first + count), which are `blocks` blocks.
  const auto unpack = [&](int64_t first, int64_t count, int64_t blocks) {
    const at::Tensor bytes = codes.narrow(0, first / 2, ceil_div<int64_t>(count, 2)).to(at::kInt);
    const at::Tensor values = pairs.index_select(0, bytes).view({-1}).narrow(0, 0, count).view({blocks, -1});
    const at::Tensor scale = scales.narrow(0, first / kBlockValues, blocks).unsqueeze(1);
    flat.narrow(0, first, count).view({blocks, -1}).copy_(values * scale);
  };
  const int64_t n = flat.numel(), whole = n / kBlockValues * kBlockValues;
  for (int64_t first = 0; first < whole; first += kPieceValues) {
    const int64_t count = std::min(kPieceValues, whole - first);
    unpack(first, count, count / kBlockValues);
  }
  if (whole < n) unpack(whole, n - whole, 1);
}

at::Tensor decoded_scales(const NestedScales& nested) {
  const auto& levels = dynamic_levels();
  const at::Tensor table = table_beside({levels.begin(), levels.end()}, nested.codes);
  const at::Tensor largest = nested.absmax.repeat_interleave(kNestedBlock).narrow(0, 0, nested.codes.numel());
  return table.index_select(0, nested.codes.to(at::kInt)).mul_(largest).add_(nested.offset);
}

}  // namespace lora
