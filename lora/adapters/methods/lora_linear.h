#pragma once
// LoRA (Hu et al. 2021, §4.1): W' = W + s·B·A, with s of lora_scaling.

#include "lora/adapters/adapter_linear.h"
#include "lora/adapters/method.h"

namespace lora {

// y = W x + s·B·A·dropout(x). A (r, in) and B (out, r) are float32 whatever the base's dtype, as PEFT has them, and
// their product is computed in float32; see initialise.h for how they begin.
//
// Where the initial pair comes out of the base (PiSSA, OLoRA), y = W x − s·B₀·A₀·x + s·B·A·dropout(x): what PEFT
// computes by putting W − s·B₀·A₀ in W's place, but W stays as it is, to be shared, mapped or quantised, and no digit
// of it is lost. The file is that of plain LoRA on W: rank 2r of A over A₀ and B beside −B₀, the whole state of the
// layer.
class LoraLinear final : public AdapterLinear {
 public:
  LoraLinear(std::shared_ptr<Linear> base, const MethodOptions& options);
  at::Tensor forward(const at::Tensor& x) override;
  std::optional<LinearParts> parts() const override;
  at::Tensor merged_weight() const override;
  std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const override;
  void load_peft_tensors(const std::vector<at::Tensor>& tensors) override;

  double scaling() const { return scaling_; }

  // With lora_bias, s·b is a part of the layer's bias.
  at::Tensor bias_vector() const override;

  at::Tensor lora_A, lora_B;
  at::Tensor lora_B_bias;       // b (out) float32, or undefined
  at::Tensor start_A, start_B;  // A₀ and B₀, or undefined

 private:
  double scaling_, dropout_;
};

}  // namespace lora
