#pragma once
// The objectives that a run can have; see objective.h.

#include <vector>

#include "lora/training/objective.h"

namespace lora {

// The mean negative log-likelihood of the supervised tokens, given those before them.
ObjectiveRow causal_lm_objective();
// The mean negative log-likelihood of samples' labels, as transformers' LlamaForSequenceClassification has it.
// Evaluation also fills the confusion.
ObjectiveRow sequence_classification_objective();
// Of pairs: dpo, ipo, orpo, cpo, simpo. See preference_pairs.cpp.
std::vector<ObjectiveRow> pair_objectives();
// Of answers that are marked good or not (Ethayarajh et al. 2024).
ObjectiveRow kto_objective();
// A reward model of pairs (Ouyang et al. 2022, §3.5): the negative log-likelihood that the chosen answer's reward is
// the higher one, by at least the pair's margin.
ObjectiveRow reward_objective();

const std::vector<ObjectiveRow>& objectives();

}  // namespace lora
