#pragma once
// A projection whose frozen dense weight stays in the host's memory and is copied to the device for its products
// (models/engine/host_blocks.h).

#include <memory>

#include "models/engine/host_blocks.h"
#include "models/network/linear.h"

namespace lora {

// A weight (out, in) of a layer that is in the host's memory as it is.
class FetchedWeight final : public PackedWeight {
 public:
  // `weight`: on the CPU, in the model's dtype. It is copied into the blocks' memory.
  FetchedWeight(std::shared_ptr<HostBlocks> blocks, int64_t layer, const at::Tensor& weight)
      : blocks_(std::move(blocks)), layer_(layer), host_(blocks_->add(layer, weight)) {}

  int64_t out_features() const override { return host_.size(0); }
  int64_t in_features() const override { return host_.size(1); }
  at::ScalarType dtype() const override { return host_.scalar_type(); }
  at::Device device() const override { return blocks_->device(); }
  int64_t bytes() const override { return static_cast<int64_t>(host_.nbytes()); }
  void unpack(at::Tensor& to) const override;
  at::Tensor as_it_is() const override { return blocks_->on_device(layer_, host_); }

  const at::Tensor& on_host() const { return host_; }

 private:
  std::shared_ptr<HostBlocks> blocks_;
  int64_t layer_;
  at::Tensor host_;
};

// y = x Wᵀ + b. The weight on the host is a buffer; the bias is on the device, a frozen parameter.
class FetchedLinear final : public Linear {
 public:
  explicit FetchedLinear(std::shared_ptr<const FetchedWeight> weight, at::Tensor bias = {});
  at::Tensor forward(const at::Tensor& x) override;
  WeightHandle weight_handle() const override { return std::shared_ptr<const PackedWeight>(weight_); }
  at::Tensor bias_vector() const override { return bias_; }
  std::optional<LinearParts> parts() const override { return LinearParts{.weight = weight_handle(), .bias = bias_}; }

 private:
  std::shared_ptr<const FetchedWeight> weight_;
  at::Tensor bias_;
};

}  // namespace lora
