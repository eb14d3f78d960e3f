#include "models/engine/weight_handle.h"

#include <ATen/ATen.h>

namespace lora {

int64_t PackedWeight::bytes() const {
  return out_features() * in_features() * static_cast<int64_t>(c10::elementSize(dtype()));
}

at::Tensor WeightHandle::for_product(at::ScalarType dtype) const {
  if (!packed_) return dense_.to(dtype);
  if (const at::Tensor as_it_is = packed_->as_it_is(); as_it_is.defined()) return as_it_is.to(dtype);
  // Kept between calls: fresh memory of this size would be mapped, zeroed and given back at every product.
  thread_local at::Tensor room;
  const int64_t bytes = out_features() * in_features() * static_cast<int64_t>(c10::elementSize(dtype));
  if (!room.defined() || room.numel() < bytes || room.device() != device()) {
    room.reset();
    room = at::empty({bytes}, at::TensorOptions(at::kByte).device(device()));
  }
  at::Tensor matrix = room.narrow(0, 0, bytes).view(dtype).view({out_features(), in_features()});
  packed_->unpack(matrix);
  return matrix;
}

at::Tensor WeightHandle::matrix() const {
  if (!packed_) return dense_;
  at::Tensor matrix =
      at::empty({out_features(), in_features()}, at::TensorOptions(packed_->dtype()).device(packed_->device()));
  packed_->unpack(matrix);
  return matrix;
}

}  // namespace lora
