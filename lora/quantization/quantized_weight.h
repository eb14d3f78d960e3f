#pragma once
// The interface of a quantised weight: its product, its tensors and its error.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/engine/weight_handle.h"

namespace lora {

// Thrown for a value that the encoding cannot hold. A caller that knows the tensor's name reports it.
struct NotFinite {};

class QuantizedWeight : public PackedWeight {
 public:
  virtual std::string encoding() const = 0;  // the value of model.quantization
  // All tensors, by the names of their parts.
  virtual std::vector<std::pair<std::string, at::Tensor>> tensors() const = 0;
  // ‖W − Ŵ‖ / ‖W‖ (Frobenius) with Ŵ in float32. 0 if W is 0; NaN for a weight on the meta device.
  virtual double relative_error() const = 0;
  // The tensors that hold it: what a product reads.
  virtual std::vector<at::Tensor> memory() const = 0;
  // The same weight in tensors of the same shapes and values as memory(), on any device.
  virtual std::shared_ptr<const QuantizedWeight> held_in(const std::vector<at::Tensor>& memory) const = 0;
  int64_t bytes() const override;
};

}  // namespace lora
