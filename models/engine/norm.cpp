#include "models/engine/norm.h"

#include <ATen/ATen.h>

#include "models/engine/operations.h"
#include "models/engine/profile.h"

namespace lora {

at::Tensor Norm::multiplier(at::ScalarType dtype) const { return one_plus ? weight.to(dtype) + 1 : weight.to(dtype); }

void norm_columns(const Operations& operations, const Norm& norm, const at::Tensor& x, const at::Tensor& y,
                  int64_t column, int64_t width) {
  const WorkScope scope(Work::kElementwise);
  operations.norm_columns(norm, x, y, column, width);
}

void norm_columns_backward(const Operations& operations, const Norm& norm, const at::Tensor& x, const at::Tensor& dy,
                           const at::Tensor& base, const at::Tensor& dx, int64_t column, int64_t width) {
  const WorkScope scope(Work::kElementwise);
  operations.norm_columns_backward(norm, x, dy, base, dx, column, width);
}

at::Tensor normed(const Operations& operations, const Norm& norm, const at::Tensor& x) {
  if (!norm.there()) return x;
  const at::Tensor y = at::empty_like(x);
  norm_columns(operations, norm, x, y, 0, x.size(1));
  return y;
}

void normed_backward(const Operations& operations, const Norm& norm, const at::Tensor& x, const at::Tensor& dy,
                     const at::Tensor& base, const at::Tensor& dx) {
  if (norm.there()) return norm_columns_backward(operations, norm, x, dy, base, dx, 0, x.size(1));
  dx.copy_(base.defined() ? base + dy : dy);
}

at::Tensor gradient_through(const Operations& operations, const Norm& norm, const at::Tensor& x, const at::Tensor& dy,
                            std::vector<at::Tensor>& grads) {
  if (!norm.there()) return dy;
  if (norm.trained()) grads.push_back(norm_weight_gradient(norm, x, dy));
  const at::Tensor dx = at::empty_like(dy);
  normed_backward(operations, norm, x, dy, /*base=*/{}, dx);
  return dx;
}

// Only full fine-tuning needs it, so it is written in tensor operations.
at::Tensor norm_weight_gradient(const Norm& norm, const at::Tensor& x, const at::Tensor& dy) {
  const int64_t width = norm.weight.size(0);
  const at::Tensor wide = x.reshape({-1, width}).to(wide_dtype(x.scalar_type()));
  const at::Tensor n = wide * wide.pow(2).mean(-1, /*keepdim=*/true).add_(norm.eps).rsqrt_();
  return n.mul_(dy.reshape({-1, width})).sum(0).to(norm.weight.scalar_type());
}

}  // namespace lora
