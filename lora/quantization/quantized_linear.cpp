#include "lora/quantization/quantized_linear.h"

#include <ATen/ATen.h>

#include "models/engine/frozen_linear.h"

namespace lora {

QuantizedLinear::QuantizedLinear(std::shared_ptr<const QuantizedWeight> weight, at::Tensor bias)
    : weight_(std::move(weight)) {
  for (const auto& [name, tensor] : weight_->tensors()) register_buffer(name, tensor);
  if (bias.defined()) bias_ = register_parameter("bias", std::move(bias), /*requires_grad=*/false);
}

at::Tensor QuantizedLinear::forward(const at::Tensor& x) {
  const at::Tensor y = frozen_linear(x, weight_handle());
  return bias_.defined() ? y + bias_.to(y.scalar_type()) : y;
}

}  // namespace lora
