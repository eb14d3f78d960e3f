#pragma once
// DoRA (Liu et al. 2024): the weight as a magnitude a row times a direction, W' = m ⊙ (W + s·B·A) / ‖W + s·B·A‖.

#include "lora/adapters/adapter_linear.h"
#include "lora/adapters/method.h"

namespace lora {

// y = g ⊙ (W x + s·B·A·x) + b with g = m / n, n the norm of each row of W + s·B·A. m (out) is trained and begins at n;
// n follows A and B but passes them no gradient (§4.3). With dropout, in training, W x + b stays as it is and the rest
// is of the dropped x̃: y = W x + b + (g − 1) ⊙ W x̃ + g ⊙ s·B·A·x̃, as PEFT has it. A, B, m and n are float32.
class DoraLinear final : public AdapterLinear {
 public:
  DoraLinear(std::shared_ptr<Linear> base, const LayerOptions& options);
  at::Tensor forward(const at::Tensor& x) override;
  // Nothing in training with dropout, where the layer is two products with W.
  std::optional<LinearParts> parts() const override;
  at::Tensor merged_weight() const override;
  std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const override;
  void load_peft_tensors(const std::vector<at::Tensor>& tensors) override;
  // Also drops the norm that is kept from one evaluation to the next.
  void train(bool on = true) override;

  at::Tensor lora_A, lora_B, lora_magnitude_vector;  // (r, in), (out, r), (out)

 private:
  // n (out), from n² = ‖W‖² + 2s⟨W, B·A⟩ + s²‖B·A‖², where nothing is larger than (out, r) but W itself.
  at::Tensor weight_norm() const;

  double scaling_, dropout_;
  at::Tensor base_square_;        // ‖W‖² (out)
  mutable at::Tensor kept_norm_;  // in evaluation; undefined where it has to be computed
};

Method dora_method();

}  // namespace lora
