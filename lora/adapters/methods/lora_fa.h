#pragma once
// LoRA-FA (Zhang et al. 2023, arXiv 2308.03303): A keeps its random values and only B is trained, so that the backward
// pass needs the activation of rank r, but not the layer's input. Its layers are LoRA's, and on disk it is plain LoRA.
//
// Before each update the gradient of B becomes s⁻² · dB · (A·Aᵀ + δI)⁻¹ with s = α/r and δ = 1e-8. Of all steps that B
// alone can take, this is the one whose change of W is nearest to full fine-tuning's. AdamW has the form of PEFT's
// create_lorafa_optimizer, whose own ε is 1e-6. (PEFT rounds the correction to bfloat16; here it is float32.)

#include "lora/adapters/method.h"

namespace lora {

Method lora_fa_method();

}  // namespace lora
