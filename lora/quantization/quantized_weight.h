#pragma once
// What the encodings have in common: a packed weight that can tell what it holds and what it lost.

#include <string>
#include <utility>
#include <vector>

#include "models/engine/weight_handle.h"

namespace lora {

// What an encoding throws when it meets a value it cannot hold; the one who knows the tensor's name tells the person.
struct NotFinite {};

class QuantizedWeight : public PackedWeight {
 public:
  virtual std::string encoding() const = 0;  // as model.quantization has it
  // Everything held, by the names of its parts.
  virtual std::vector<std::pair<std::string, at::Tensor>> tensors() const = 0;
  // ‖W − Ŵ‖ / ‖W‖ (Frobenius) with Ŵ in float32; 0 where W is, no number for a weight on the meta device.
  virtual double relative_error() const = 0;
  int64_t bytes() const;
};

}  // namespace lora
