#include "lora/quantization/quantized_weight.h"

namespace lora {

int64_t QuantizedWeight::bytes() const {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors()) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

}  // namespace lora
