#pragma once
// A Linear with a frozen, quantised weight. Adapters wrap it like a dense one.

#include <memory>

#include "lora/quantization/quantized_weight.h"
#include "models/network/linear.h"

namespace lora {

// y = x Ŵᵀ + b. The parts of the weight are buffers ("weight", "absmax", …); the bias is a frozen parameter.
class QuantizedLinear final : public Linear {
 public:
  explicit QuantizedLinear(std::shared_ptr<const QuantizedWeight> weight, at::Tensor bias = {});
  at::Tensor forward(const at::Tensor& x) override;
  WeightHandle weight_handle() const override { return std::shared_ptr<const PackedWeight>(weight_); }
  at::Tensor bias_vector() const override { return bias_; }
  std::optional<LinearParts> parts() const override { return LinearParts{.weight = weight_handle(), .bias = bias_}; }

  const QuantizedWeight& quantized_weight() const { return *weight_; }

 private:
  std::shared_ptr<const QuantizedWeight> weight_;
  at::Tensor bias_;
};

}  // namespace lora
