#include "models/engine/packed_linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace lora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Carries the weight, which is not a tensor, from the forward to the backward pass.
struct Carried final : torch::CustomClassHolder {
  explicit Carried(std::shared_ptr<const PackedWeight> w) : weight(std::move(w)) {}
  WeightHandle weight;
};

struct PackedLinear : torch::autograd::Function<PackedLinear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const std::shared_ptr<const PackedWeight>& weight) {
    auto carried = c10::make_intrusive<Carried>(weight);
    at::Tensor y = at::linear(x, carried->weight.for_product(x.scalar_type()));
    ctx->saved_data["weight"] = c10::IValue::make_capsule(std::move(carried));
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto carried = c10::static_intrusive_pointer_cast<Carried>(ctx->saved_data["weight"].toCapsule());
    const at::Tensor& dy = grads[0];
    return {at::matmul(dy, carried->weight.for_product(dy.scalar_type())), at::Tensor()};
  }
};

}  // namespace

at::Tensor packed_linear(const at::Tensor& x, const std::shared_ptr<const PackedWeight>& weight) {
  return PackedLinear::apply(x, weight);
}

}  // namespace lora
