#pragma once
// The objectives that a run can have; see objective.h.

#include "lora/training/objective.h"

namespace lora {

// The negative log-likelihood of each supervised token, given those before it.
extern const Objective kCausalLm;
// The negative log-likelihood of each sample's label, as transformers' LlamaForSequenceClassification has it.
// Evaluation also fills the confusion.
extern const Objective kSequenceClassification;

constexpr const Objective* kObjectives[] = {&kCausalLm, &kSequenceClassification};

}  // namespace lora
