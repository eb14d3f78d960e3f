#pragma once
// The interface of an adapter of the token embedding: what AdapterLinear is for projections.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/adapter_linear.h"
#include "models/network/decoder.h"

namespace lora {

class AdapterEmbedding : public Embedding {
 public:
  explicit AdapterEmbedding(std::shared_ptr<Embedding> base) {
    base_layer_ = register_module("base_layer", std::move(base));
  }

  const std::shared_ptr<Embedding>& base_layer() const { return base_layer_; }
  at::Tensor weight_matrix() const override { return base_layer_->weight_matrix(); }
  double scale() const override { return base_layer_->scale(); }

  // The role of every parameter that this layer itself registered.
  virtual ParameterRole role() const = 0;
  // The weight that alone gives this layer's output, (V, H) in the base's dtype, a new tensor.
  virtual at::Tensor merged_weight() const = 0;
  // The tensors of a file, under PEFT's names ("lora_embedding_A"). They alias the parameters.
  virtual std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const = 0;
  // The same values as PEFT has them at a head that is tied to this layer ("lora_A.weight"); none where it has none.
  virtual std::vector<std::pair<std::string, at::Tensor>> tied_head_tensors() const { return {}; }
  // The α of its scaling, where it has one.
  virtual std::optional<double> alpha() const { return std::nullopt; }
  // For tables: "rank 8, alpha 16".
  virtual std::string description() const = 0;

 private:
  std::shared_ptr<Embedding> base_layer_;
};

}  // namespace lora
