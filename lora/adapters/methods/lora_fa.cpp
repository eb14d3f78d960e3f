#include "lora/adapters/methods/lora_fa.h"

#include <ATen/ATen.h>

#include "lora/adapters/methods/lora.h"
#include "lora/adapters/training_hooks.h"

namespace lora {
namespace {

constexpr double kDelta = 1e-8;

class LoraFaHooks final : public TrainingHooks {
 public:
  explicit LoraFaHooks(const AdaptedModel& adapted) {
    for (const AdaptedModule& module : adapted.modules) {
      layers_.push_back(std::dynamic_pointer_cast<LoraLinear>(module.layer));
    }
  }

  void before_update() override {
    const at::NoGradGuard no_grad;
    // Computed at the first step: a checkpoint may bring another A than the one the layers were made with.
    if (corrections_.empty()) {
      for (const auto& layer : layers_) corrections_.push_back(correction(*layer));
    }
    for (size_t i = 0; i < layers_.size(); ++i) {
      at::Tensor grad = layers_[i]->lora_B.mutable_grad();
      grad.copy_(at::mm(grad, corrections_[i]));
    }
  }

  bool wants_transformers_adamw() const override { return true; }

 private:
  static at::Tensor correction(const LoraLinear& layer) {
    const at::Tensor a = layer.lora_A.detach().to(at::kDouble);
    const at::Tensor gram = at::mm(a, a.t()) + kDelta * at::eye(a.size(0), a.options());
    return (at::linalg_pinv(gram) / (layer.scaling() * layer.scaling())).to(at::kFloat);
  }

  std::vector<std::shared_ptr<LoraLinear>> layers_;
  std::vector<at::Tensor> corrections_;  // (r, r) float32, one a layer
};

std::shared_ptr<AdapterLinear> wrap_lora_fa(std::shared_ptr<Linear> base, const LayerOptions& options) {
  auto layer = std::make_shared<LoraLinear>(std::move(base), options);
  layer->lora_A.requires_grad_(false);
  return layer;
}

}  // namespace

Method lora_fa_method() {
  return {.name = "lora_fa",
          .has_lora_bias = true,
          .wrap = wrap_lora_fa,
          .hooks = [](const AdaptedModel& adapted, int64_t) -> std::unique_ptr<TrainingHooks> {
            return std::make_unique<LoraFaHooks>(adapted);
          }};
}

}  // namespace lora
