#pragma once
// The layer of AdaLoRA (Zhang et al. 2023, arXiv 2303.10512, §3.1): an update in the form of a singular value
// decomposition, P Λ Q, of which a triplet (a column of P, an entry of Λ, a row of Q) is pruned by zeroing its Λ.

#include "lora/adapters/adapter_linear.h"
#include "lora/adapters/method.h"

namespace lora {

// y = W x + s·P·(Λ∘Q)·dropout(x) with s = α / (r₀ + 1e-5) as PEFT has it, where r₀ is config.rank: the rank before any
// pruning, also of a layer that was loaded with fewer triplets (options.rank, which may be 0: then y = W x). Q (r, in),
// Λ (r, 1) and P (out, r) are float32 under PEFT's names; P and Q start as N(0, 0.02²), Λ at zero.
class AdaLoraLinear final : public AdapterLinear {
 public:
  AdaLoraLinear(std::shared_ptr<Linear> base, const MethodOptions& options);
  at::Tensor forward(const at::Tensor& x) override;
  // Plain low rank to whoever computes with it: the product Λ∘Q is one small node of autograd.
  std::optional<LinearParts> parts() const override;
  at::Tensor merged_weight() const override;
  std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const override;
  double scaling() const { return scaling_; }

  at::Tensor lora_A, lora_E, lora_B;  // Q, Λ, P
  // Which of the r₀ triplets these are: r of them are true. The pattern of PEFT's adapter_config.json.
  std::vector<bool> pattern;

 private:
  double scaling_, dropout_;
};

}  // namespace lora
