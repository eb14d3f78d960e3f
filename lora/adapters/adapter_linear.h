#pragma once
// What every adapter method is to the network: a Linear that holds the frozen Linear it stands in for.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/network/linear.h"

namespace lora {

class AdapterLinear : public Linear {
 public:
  AdapterLinear(std::shared_ptr<Linear> base, int64_t rank, double alpha) : rank_(rank), alpha_(alpha) {
    base_layer_ = register_module("base_layer", std::move(base));
  }

  const std::shared_ptr<Linear>& base_layer() const { return base_layer_; }
  WeightHandle weight_handle() const override { return base_layer_->weight_handle(); }
  at::Tensor bias_vector() const override { return base_layer_->bias_vector(); }
  int64_t rank() const { return rank_; }
  double alpha() const { return alpha_; }

  // The weight that alone gives this layer's output, (out, in) in the base's dtype, a new tensor.
  virtual at::Tensor merged_weight() const = 0;
  // What a file holds, under PEFT's names ("lora_A.weight"). They alias the parameters, but where load_peft_tensors is
  // overridden.
  virtual std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const = 0;
  // Takes in tensors of the names, order and shapes of peft_tensors().
  virtual void load_peft_tensors(const std::vector<at::Tensor>& tensors) {
    const at::NoGradGuard no_grad;
    const auto own = peft_tensors();
    for (size_t i = 0; i < own.size(); ++i) at::Tensor(own[i].second).copy_(tensors[i]);
  }

 private:
  std::shared_ptr<Linear> base_layer_;
  int64_t rank_;
  double alpha_;
};

}  // namespace lora
