#include "models/network/linear.h"

#include <ATen/ATen.h>

#include "models/base/error.h"
#include "models/engine/dense_product.h"
#include "models/engine/frozen_linear.h"

namespace lora {

DenseLinear::DenseLinear(at::Tensor w, at::Tensor b) {
  weight = register_parameter("weight", std::move(w), /*requires_grad=*/false);
  if (b.defined()) bias = register_parameter("bias", std::move(b), /*requires_grad=*/false);
}

at::Tensor DenseLinear::forward(const at::Tensor& x) {
  const auto dtype = x.scalar_type();
  if (!weight.requires_grad() && is_slow_in_library(x)) {
    const at::Tensor y = frozen_linear(x, weight);
    return bias.defined() ? y + bias.to(dtype) : y;
  }
  return bias.defined() ? at::linear(x, weight.to(dtype), bias.to(dtype)) : at::linear(x, weight.to(dtype));
}

void LinearHost::register_linear(const std::string& name, std::shared_ptr<Linear>& slot,
                                 std::shared_ptr<Linear> linear) {
  slot = register_module(name, std::move(linear));
  slots_[name] = &slot;
}

void LinearHost::register_linears(Linears& slots,
                                  std::vector<std::pair<std::string, std::shared_ptr<Linear>>> linears) {
  slots.resize(linears.size());
  for (size_t i = 0; i < linears.size(); ++i) register_linear(linears[i].first, slots[i], std::move(linears[i].second));
}

void LinearHost::remove_linear(const std::string& name) {
  slots_.at(name)->reset();
  slots_.erase(name);
  unregister_module(name);
}

void LinearHost::replace_linear(const std::string& name, const std::shared_ptr<Linear>& replacement) {
  const auto slot = slots_.find(name);
  if (slot == slots_.end()) throw ModelError("module has no linear layer '" + name + "'");
  *slot->second = replacement;
  replace_module(name, replacement);
}

}  // namespace lora
