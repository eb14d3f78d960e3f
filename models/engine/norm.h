#pragma once
// RMSNorms (Zhang & Sennrich 2019) of a fused layer, over the rows of all tokens. No autograd inside.

#include <ATen/core/Tensor.h>

#include <vector>

namespace lora {

struct Operations;

// An RMSNorm that may be missing: then it is the identity.
struct Norm {
  at::Tensor weight = {};  // as trained; undefined: there is none
  bool one_plus = false;   // multiplies by 1 + weight
  double eps = 0;

  bool there() const { return weight.defined(); }
  bool trained() const { return there() && weight.requires_grad(); }
  // What the normed values are multiplied by.
  at::Tensor multiplier(at::ScalarType dtype = at::kFloat) const;
};

// Columns [column, column + width) of x -> the same columns of y, as Operations::norm_columns.
void norm_columns(const Operations& operations, const Norm& norm, const at::Tensor& x, const at::Tensor& y,
                  int64_t column, int64_t width);
// As Operations::norm_columns_backward.
void norm_columns_backward(const Operations& operations, const Norm& norm, const at::Tensor& x, const at::Tensor& dy,
                           const at::Tensor& base, const at::Tensor& dx, int64_t column, int64_t width);

// Whole rows: x (N, H) -> (N, H), or x itself where there is no norm.
at::Tensor normed(const Operations& operations, const Norm& norm, const at::Tensor& x);
// Writes dx = the gradient of x + base. `base` may be dx, or undefined.
void normed_backward(const Operations& operations, const Norm& norm, const at::Tensor& x, const at::Tensor& dy,
                     const at::Tensor& base, const at::Tensor& dx);
// The gradient of x. Appends the gradient of the norm's weight to `grads` where it is trained.
at::Tensor gradient_through(const Operations& operations, const Norm& norm, const at::Tensor& x, const at::Tensor& dy,
                            std::vector<at::Tensor>& grads);
// The gradient of the norm's weight. x and dy (…, a multiple of the weight's size).
at::Tensor norm_weight_gradient(const Norm& norm, const at::Tensor& x, const at::Tensor& dy);

}  // namespace lora
