#pragma once
// LoRA (Hu et al. 2021, §4.1): W' = W + s·B·A, with s of lora_scaling.

#include "lora/adapters/adapter_linear.h"
#include "lora/adapters/method.h"

namespace lora {

// y = W x + s·B·A·dropout(x). A (r, in) and B (out, r) are float32 whatever the base's dtype, as PEFT has them, and
// their product is computed in float32. B starts at zero; A Kaiming-uniform with a = √5, that is U(±1/√in), or N(0,
// 1/r).
class LoraLinear final : public AdapterLinear {
 public:
  LoraLinear(std::shared_ptr<Linear> base, const MethodOptions& options);
  at::Tensor forward(const at::Tensor& x) override;
  std::optional<LinearParts> parts() const override;
  at::Tensor merged_weight() const override;
  std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const override;

  at::Tensor lora_A, lora_B;

 private:
  double scaling_, dropout_;
};

}  // namespace lora
