#pragma once
// The one kind of projection in the model, as an interface: an adapter or a quantised weight takes a dense one's place
// without the rest of the network seeing it. (torch::nn::Linear's forward is not virtual, so it cannot serve.)

#include <torch/nn/module.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "models/engine/linear_group.h"

namespace lora {

class Linear : public torch::nn::Module {
 public:
  // x (..., in) of the model's dtype -> (..., out) of the same dtype.
  virtual at::Tensor forward(const at::Tensor& x) = 0;
  // What the layer multiplies by, without adapters.
  virtual WeightHandle weight_handle() const = 0;
  virtual at::Tensor bias_vector() const = 0;  // (out), or undefined
  // The tensors that make up the layer, where y = x Wᵀ + b + low rank says all of it: then a fused operation may do the
  // layer's work together with its neighbours'. Otherwise nothing, and forward is called.
  virtual std::optional<LinearParts> parts() const { return std::nullopt; }

  // The weight as a dense matrix (out, in), for merging and export. May be a view: do not write.
  at::Tensor weight_matrix() const { return weight_handle().matrix(); }
  int64_t in_features() const { return weight_handle().in_features(); }
  int64_t out_features() const { return weight_handle().out_features(); }
};

// y = x Wᵀ + b. The weight is used as given: no copy, and frozen unless the caller asks for its gradient. A trainable
// weight may be float32 under half-precision activations; it is then cast for the product.
class DenseLinear final : public Linear {
 public:
  explicit DenseLinear(at::Tensor weight, at::Tensor bias = {});
  at::Tensor forward(const at::Tensor& x) override;
  WeightHandle weight_handle() const override { return weight; }
  at::Tensor bias_vector() const override { return bias; }
  std::optional<LinearParts> parts() const override { return LinearParts{.weight = weight, .bias = bias}; }

  at::Tensor weight;  // (out, in)
  at::Tensor bias;    // (out), or undefined
};

// A module whose Linears can be exchanged by name after construction; both the typed member and the module tree follow.
class LinearHost : public torch::nn::Module {
 public:
  // Throws ModelError when there is no Linear of that name.
  void replace_linear(const std::string& name, const std::shared_ptr<Linear>& replacement);

 protected:
  // `slot` must live as long as the host: it is a member of the derived class.
  void register_linear(const std::string& name, std::shared_ptr<Linear>& slot, std::shared_ptr<Linear> linear);
  void remove_linear(const std::string& name);

 private:
  std::map<std::string, std::shared_ptr<Linear>*> slots_;
};

}  // namespace lora
