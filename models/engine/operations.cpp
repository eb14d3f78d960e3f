#include "models/engine/operations.h"

#include "models/engine/aten/operations.h"
#include "models/engine/cpu/operations.h"

namespace lora {

const Operations* operations_for(c10::Device device, at::ScalarType dtype) {
  if (device.is_meta()) return nullptr;
  if (!device.is_cpu()) return &aten::kOperations;
  return dtype == at::kFloat || dtype == at::kBFloat16 ? &cpu::kOperations : nullptr;
}

const Operations* operations_for(const at::Tensor& activations) {
  return operations_for(activations.device(), activations.scalar_type());
}

const Operations& aten_operations() { return aten::kOperations; }

const Operations& some_operations_for(const at::Tensor& activations) {
  const Operations* const own = operations_for(activations);
  return own ? *own : aten_operations();
}

}  // namespace lora
