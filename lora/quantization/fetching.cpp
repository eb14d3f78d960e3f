#include "lora/quantization/fetching.h"

#include <ATen/ATen.h>

#include "lora/quantization/quantized_linear.h"
#include "models/network/fetched_linear.h"

namespace lora {
namespace {

// A weight in few bits whose codes and scales are in the host's memory.
class FetchedCodes final : public QuantizedWeight {
 public:
  FetchedCodes(std::shared_ptr<HostBlocks> blocks, int64_t layer, const QuantizedWeight& weight)
      : blocks_(std::move(blocks)), layer_(layer) {
    std::vector<at::Tensor> memory;
    for (const at::Tensor& tensor : weight.memory()) memory.push_back(blocks_->add(layer, tensor));
    host_ = weight.held_in(memory);
  }

  int64_t out_features() const override { return host_->out_features(); }
  int64_t in_features() const override { return host_->in_features(); }
  at::ScalarType dtype() const override { return host_->dtype(); }
  at::Device device() const override { return blocks_->device(); }
  void unpack(at::Tensor& to) const override {
    std::vector<at::Tensor> there;
    for (const at::Tensor& tensor : host_->memory()) there.push_back(blocks_->on_device(layer_, tensor));
    host_->held_in(there)->unpack(to);
  }
  std::string encoding() const override { return host_->encoding(); }
  std::vector<std::pair<std::string, at::Tensor>> tensors() const override { return host_->tensors(); }
  double relative_error() const override { return host_->relative_error(); }
  std::vector<at::Tensor> memory() const override { return host_->memory(); }
  std::shared_ptr<const QuantizedWeight> held_in(const std::vector<at::Tensor>& memory) const override {
    return host_->held_in(memory);
  }

 private:
  std::shared_ptr<HostBlocks> blocks_;
  int64_t layer_;
  std::shared_ptr<const QuantizedWeight> host_;
};

}  // namespace

Quantizer fetching(Quantizer encode, std::shared_ptr<HostBlocks> blocks) {
  return [encode = std::move(encode), blocks = std::move(blocks)](const std::string& path, const at::Tensor& weight,
                                                                  const at::Tensor& bias,
                                                                  const ModelForm& model) -> std::shared_ptr<Linear> {
    const int64_t layer = layer_of(path).value();
    if (!encode) {
      return std::make_shared<FetchedLinear>(std::make_shared<FetchedWeight>(blocks, layer, weight.to(model.dtype)),
                                             bias);
    }
    const auto encoded = std::dynamic_pointer_cast<QuantizedLinear>(encode(path, weight, bias, {model.dtype}));
    return std::make_shared<QuantizedLinear>(std::make_shared<FetchedCodes>(blocks, layer, encoded->quantized_weight()),
                                             bias);
  };
}

}  // namespace lora
