#pragma once
// The rows that scripts/make_golden*.py give to PEFT's adapters, and what a model makes of them.

#include <ATen/ATen.h>

#include "models/network/decoder.h"

namespace lora::test {

// (2, 20): ids below 48.
inline at::Tensor golden_inputs() { return (at::arange(40, at::kLong) * 31 + 7).remainder(48).view({2, 20}); }

// (2, vocabulary): logits at the last token of each row.
inline at::Tensor last_logits(LlamaForCausalLM& model, ExecutionPlan plan = {}) {
  const at::NoGradGuard no_grad;
  model.eval();
  return model.forward(golden_inputs(), plan).select(1, -1);
}

// The mean over all tokens but the first of each row.
inline at::Tensor mean_loss(LlamaForCausalLM& model, ExecutionPlan plan = {}) {
  model.train();
  const at::Tensor inputs = golden_inputs();
  at::Tensor targets = at::full({2, 20}, kIgnoredTarget, at::kLong);
  targets.narrow(1, 0, 19).copy_(inputs.narrow(1, 1, 19));
  return model.loss_sum({inputs.flatten(), {20, 20}}, targets.flatten(), plan) / 38;
}

}  // namespace lora::test
