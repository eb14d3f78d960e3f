#pragma once
// LoRA-FA (Zhang et al. 2023, arXiv 2308.03303): A keeps its random values and only B is trained, so that the backward
// pass needs the activation of rank r, but not the layer's input. On disk it is plain LoRA.

#include "lora/adapters/inject.h"
#include "lora/adapters/method.h"
#include "lora/adapters/training_hooks.h"

namespace lora {

// A LoraLinear whose A needs no gradient.
std::shared_ptr<AdapterLinear> wrap_lora_fa(std::shared_ptr<Linear> base, const MethodOptions& options);

// Before each update the gradient of B becomes s⁻² · dB · (A·Aᵀ + δI)⁻¹ with s = α/r and δ = 1e-8: of all steps that B
// alone can take, the one whose change of W is nearest to full fine-tuning's. AdamW has the form of PEFT's
// create_lorafa_optimizer, whose own ε is 1e-6 (PEFT rounds the correction to bfloat16; here it is float32).
std::unique_ptr<TrainingHooks> lora_fa_hooks(const Adaptation& adaptation);

}  // namespace lora
