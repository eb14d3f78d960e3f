#pragma once
// The interface of every projection in the model. An adapter or a quantised weight replaces a dense projection, and the
// rest of the network does not change. (torch::nn::Linear cannot be this interface: its forward is not virtual.)

#include <torch/nn/module.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/engine/linear_group.h"

namespace lora {

class Linear : public torch::nn::Module {
 public:
  // x (..., in) of the model's dtype -> (..., out) of the same dtype.
  virtual at::Tensor forward(const at::Tensor& x) = 0;
  // The weight, without adapters.
  virtual WeightHandle weight_handle() const = 0;
  virtual at::Tensor bias_vector() const = 0;  // (out), or undefined
  // The layer's tensors, where LinearGroup's formula (models/engine/linear_group.h) is all that the layer computes. A
  // fused operation may then compute it together with its neighbours. Empty: only forward computes the layer.
  virtual std::optional<LinearParts> parts() const { return std::nullopt; }

  // The weight as a dense matrix (out, in), for merging and export. May be a view: do not write.
  at::Tensor weight_matrix() const { return weight_handle().matrix(); }
  int64_t in_features() const { return weight_handle().in_features(); }
  int64_t out_features() const { return weight_handle().out_features(); }
};

using Linears = std::vector<std::shared_ptr<Linear>>;

// y = x Wᵀ + b. The weight is used without a copy, and is frozen unless the caller sets requires_grad. A trained weight
// may be float32 where activations are in half precision; the product then uses a cast of it.
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

// A module whose Linears can be replaced by name after construction. Both the typed member and the module tree follow.
class LinearHost : public torch::nn::Module {
 public:
  // Throws ModelError when there is no Linear of that name.
  void replace_linear(const std::string& name, const std::shared_ptr<Linear>& replacement);

 protected:
  // `slot` must live as long as the host: it is a member of the derived class.
  void register_linear(const std::string& name, std::shared_ptr<Linear>& slot, std::shared_ptr<Linear> linear);
  // The same for several, by name. `slots` is empty before, and must not change its size afterwards.
  void register_linears(Linears& slots, std::vector<std::pair<std::string, std::shared_ptr<Linear>>> linears);
  void remove_linear(const std::string& name);

 private:
  std::map<std::string, std::shared_ptr<Linear>*> slots_;
};

}  // namespace lora
