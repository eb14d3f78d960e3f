#pragma once
// The interface of an adapter's layer: a Linear that holds the frozen Linear whose place it takes.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/config.h"
#include "models/network/linear.h"

namespace lora {

// What a trained parameter is. Learning rates and the memory plan go by it.
enum class ParameterRole {
  kA,        // of a pair B·A beside a projection
  kB,        // likewise
  kAdapter,  // another tensor that an adapter adds: a magnitude, AdaLoRA's Λ, a bias of B, an embedding's pair
  kRows,     // rows of the embedding that are trained apart from the others
  kHead,     // a weight of lm_head or score, trained whole
  kBase,     // any other weight of the network, trained whole
};

// What one adapter layer is made from.
struct LayerOptions {
  const AdapterConfig& config;
  int64_t rank;       // of this module, after rank_pattern
  double alpha;       // likewise
  uint64_t seed;      // of this module's fresh weights
  bool fresh = true;  // false: weights will be loaded, so a costly start is left out
};

// An update of the base's weight: ΔW = scaling · b · a.
struct LowRankUpdate {
  at::Tensor a, b;  // (r, in) and (out, r), float32, without gradient
  double scaling;
};

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
  // The role of a parameter that this layer itself registered, by its name here ("lora_A").
  ParameterRole role_of(const std::string& parameter) const { return roles_.at(parameter); }

  // The weight that alone gives this layer's output, (out, in) in the base's dtype, a new tensor.
  virtual at::Tensor merged_weight() const = 0;
  // What the layer adds to the base's weight; nothing where that is not one product of two factors and no more.
  virtual std::optional<LowRankUpdate> update() const { return std::nullopt; }
  // The tensors of a file, under PEFT's names ("lora_A.weight"); of a pair, A is first and B second. They alias the
  // parameters, unless the layer overrides load_peft_tensors.
  virtual std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const = 0;
  // Takes in tensors of the names, order and shapes of peft_tensors().
  virtual void load_peft_tensors(const std::vector<at::Tensor>& tensors) {
    const at::NoGradGuard no_grad;
    const auto own = peft_tensors();
    for (size_t i = 0; i < own.size(); ++i) at::Tensor(own[i].second).copy_(tensors[i]);
  }

 protected:
  at::Tensor add_parameter(const std::string& name, at::Tensor value, ParameterRole role) {
    roles_[name] = role;
    return register_parameter(name, std::move(value));
  }

 private:
  std::shared_ptr<Linear> base_layer_;
  int64_t rank_;
  double alpha_;
  std::map<std::string, ParameterRole> roles_;
};

}  // namespace lora
