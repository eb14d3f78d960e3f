#pragma once
// NF4, the four-bit NormalFloat of QLoRA (Dettmers et al. 2023, §3). models/engine/cpu/quantized.h describes the codes.
// 4.5 bits per parameter, 4.127 with nested scales.

#include <memory>
#include <optional>

#include "lora/quantization/nested_scales.h"
#include "lora/quantization/quantized_weight.h"

namespace lora {

class Nf4Weight final : public QuantizedWeight {
 public:
  static constexpr const char* kName = "nf4";  // the value of model.quantization

  // weight: (out, in) float32, float16 or bfloat16, contiguous, on the CPU. It is read once, in pieces, and not kept. A
  // meta tensor gives a result on the meta device. `dtype`: of the model. `device`: where the codes are kept. Throws
  // NotFinite.
  Nf4Weight(const at::Tensor& weight, at::ScalarType dtype, bool double_quantization, at::Device device = at::kCPU);

  int64_t out_features() const override { return out_; }
  int64_t in_features() const override { return in_; }
  at::ScalarType dtype() const override { return dtype_; }
  at::Device device() const override { return codes_.device(); }
  void unpack(at::Tensor& to) const override;
  // Nothing where blocks reach from row to row. Nested scales are decoded: four bytes a block instead of one.
  std::optional<EncodedRows> encoded_rows() const override;
  std::string encoding() const override { return kName; }
  std::vector<std::pair<std::string, at::Tensor>> tensors() const override;
  double relative_error() const override { return error_; }
  std::vector<at::Tensor> memory() const override;
  std::shared_ptr<const QuantizedWeight> held_in(const std::vector<at::Tensor>& memory) const override;

 private:
  void decode_scales(int64_t begin, int64_t end, float* scales) const;

  int64_t out_, in_;
  at::ScalarType dtype_;
  at::Tensor codes_;   // (⌈out·in / 2⌉) uint8
  at::Tensor scales_;  // (⌈out·in / 64⌉) float32, unless nested
  std::optional<NestedScales> nested_;
  double error_;
};

}  // namespace lora
