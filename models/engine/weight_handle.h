#pragma once
// What a projection multiplies by, as operations see it: a dense matrix, or one that is held otherwise, in fewer bits or in
// the host's memory, and made dense on the device for one product at a time.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "models/engine/cpu/row_product.h"

namespace lora {

// A weight (out, in) as it is held in memory, for products that decode it as they read it (cpu/row_product.h). The
// tensors keep the memory.
struct EncodedRows {
  kernels::RowEncoding encoding;
  at::Tensor values;  // of any dtype, as many bytes as the encoding has
  at::Tensor scales;  // float32, or undefined
};

// A frozen matrix (out, in) in some encoding, or elsewhere than on the device; immutable, so that threads may share it.
class PackedWeight {
 public:
  virtual ~PackedWeight() = default;
  virtual int64_t out_features() const = 0;
  virtual int64_t in_features() const = 0;
  virtual at::ScalarType dtype() const = 0;  // of the model that it is part of
  virtual at::Device device() const = 0;
  // Writes the whole matrix to `to` (out, in): contiguous, float32, bfloat16 or float16, on this device. Does nothing on
  // the meta device.
  virtual void unpack(at::Tensor& to) const = 0;
  // The whole matrix where it lies on this device without being unpacked, for a product that is done at once; else
  // undefined.
  virtual at::Tensor as_it_is() const { return {}; }
  virtual int64_t bytes() const;  // that it is held in
  // The weight as it is held, on the CPU. Nothing where no product reads it so: then it is unpacked.
  virtual std::optional<EncodedRows> encoded_rows() const { return std::nullopt; }
};

class WeightHandle {
 public:
  WeightHandle() = default;
  WeightHandle(at::Tensor dense) : dense_(std::move(dense)) {}  // NOLINT: a dense matrix is a weight as it is
  WeightHandle(std::shared_ptr<const PackedWeight> packed) : packed_(std::move(packed)) {}  // NOLINT: likewise

  int64_t out_features() const { return packed_ ? packed_->out_features() : dense_.size(0); }
  int64_t in_features() const { return packed_ ? packed_->in_features() : dense_.size(1); }
  at::Device device() const { return packed_ ? packed_->device() : dense_.device(); }

  // The matrix that may be trained; undefined where the weight is packed.
  const at::Tensor& dense() const { return dense_; }
  // Null where the weight is dense.
  const std::shared_ptr<const PackedWeight>& packed() const { return packed_; }

  // The matrix (out, in) for a product that is done at once: a dense weight of that dtype is itself, a packed one is
  // unpacked into memory that this thread's next call uses again, unless it lies there as it is. Do not keep it.
  at::Tensor for_product(at::ScalarType dtype) const;
  // The matrix to keep, in its own dtype; a view where the weight is dense, else a new tensor.
  at::Tensor matrix() const;

 private:
  at::Tensor dense_;
  std::shared_ptr<const PackedWeight> packed_;
};

}  // namespace lora
