#pragma once
// Eight bits per parameter: each row of the weight is scaled by its largest magnitude, as in LLM.int8 (Dettmers et al.
// 2022). Activations stay in the model's dtype, so their outlier features need no special treatment, unlike in the
// paper, which splits the product into int8 and half precision. A large weight reduces only the precision of its own
// row.

#include "lora/quantization/quantized_weight.h"

namespace lora {

class Int8Weight final : public QuantizedWeight {
 public:
  static constexpr const char* kName = "int8";  // the value of model.quantization

  // The same contract as Nf4Weight's constructor.
  Int8Weight(const at::Tensor& weight, at::ScalarType dtype, at::Device device = at::kCPU);

  int64_t out_features() const override { return codes_.size(0); }
  int64_t in_features() const override { return codes_.size(1); }
  at::ScalarType dtype() const override { return dtype_; }
  at::Device device() const override { return codes_.device(); }
  void unpack(at::Tensor& to) const override;
  std::optional<EncodedRows> encoded_rows() const override;
  std::string encoding() const override { return kName; }
  std::vector<std::pair<std::string, at::Tensor>> tensors() const override;
  double relative_error() const override { return error_; }
  std::vector<at::Tensor> memory() const override { return {codes_, scales_}; }
  std::shared_ptr<const QuantizedWeight> held_in(const std::vector<at::Tensor>& memory) const override;
  const at::Tensor& codes() const { return codes_; }  // (out, in) int8
  at::Tensor steps() const;                           // (out) float32: row i is codes[i] · steps[i]

 private:
  at::ScalarType dtype_;
  at::Tensor codes_;   // (out, in) int8
  at::Tensor scales_;  // (out) float32: the largest magnitude per row
  double error_;
};

}  // namespace lora
