#include "models/network/fetched_linear.h"

#include <ATen/ATen.h>

#include "models/engine/frozen_linear.h"

namespace lora {

void FetchedWeight::unpack(at::Tensor& to) const { to.copy_(as_it_is()); }

FetchedLinear::FetchedLinear(std::shared_ptr<const FetchedWeight> weight, at::Tensor bias)
    : weight_(std::move(weight)) {
  register_buffer("weight", weight_->on_host());
  if (bias.defined()) bias_ = register_parameter("bias", std::move(bias), /*requires_grad=*/false);
}

at::Tensor FetchedLinear::forward(const at::Tensor& x) {
  const at::Tensor y = frozen_linear(x, weight_handle());
  return bias_.defined() ? y + bias_.to(y.scalar_type()) : y;
}

}  // namespace lora
