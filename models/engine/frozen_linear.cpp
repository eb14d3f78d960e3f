#include "models/engine/frozen_linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "models/engine/dense_product.h"

namespace lora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Carries the weight, which is not a tensor, from the forward to the backward pass.
struct Carried final : torch::CustomClassHolder {
  explicit Carried(WeightHandle w) : weight(std::move(w)) {}
  WeightHandle weight;
};

// x (..., K) as rows times the matrix.
at::Tensor product(const at::Tensor& x, const at::Tensor& matrix, bool transposed) {
  const at::Tensor y = dense_product(x.reshape({-1, x.size(-1)}), matrix, transposed);
  auto sizes = x.sizes().vec();
  sizes.back() = y.size(1);
  return y.view(sizes);
}

struct FrozenLinear : torch::autograd::Function<FrozenLinear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const WeightHandle& weight) {
    ctx->saved_data["weight"] = c10::IValue::make_capsule(c10::make_intrusive<Carried>(weight));
    return product(x, weight.for_product(x.scalar_type()), /*transposed=*/true);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto carried = c10::static_intrusive_pointer_cast<Carried>(ctx->saved_data["weight"].toCapsule());
    const at::Tensor& dy = grads[0];
    return {product(dy, carried->weight.for_product(dy.scalar_type()), /*transposed=*/false), at::Tensor()};
  }
};

}  // namespace

at::Tensor frozen_linear(const at::Tensor& x, const WeightHandle& weight) { return FrozenLinear::apply(x, weight); }

}  // namespace lora
