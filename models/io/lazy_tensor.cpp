#include "models/io/lazy_tensor.h"

#include <ATen/ATen.h>

#include "models/base/error.h"

namespace lora {

size_t LazyTensor::bytes() const {
  return static_cast<size_t>(c10::multiply_integers(shape)) * c10::elementSize(dtype);
}

at::Tensor made(const LazyTensor& tensor) {
  at::Tensor value = tensor.make().detach().cpu().contiguous();
  if (value.scalar_type() != tensor.dtype || value.sizes() != at::IntArrayRef(tensor.shape)) {
    throw ModelError("tensor '" + tensor.name + "': made " + c10::str(value.sizes(), " ", value.scalar_type()) +
                     "; expected " + c10::str(at::IntArrayRef(tensor.shape), " ", tensor.dtype));
  }
  return value;
}

}  // namespace lora
