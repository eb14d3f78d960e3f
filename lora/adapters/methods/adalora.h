#pragma once
// AdaLoRA in training (Zhang et al. 2023, arXiv 2303.10512): all modules begin with the same rank, and a budget that
// shrinks on a cubic schedule takes the least important triplets away, wherever in the network they are.

#include "lora/adapters/inject.h"
#include "lora/adapters/training_hooks.h"

namespace lora {

// The number of triplets of all modules together that are left after optimizer step `step` (from 1 on): `initial` up to
// step tinit, `target` from total_step - tfinal on, and between them target + (initial - target)·(1 - progress)³,
// rounded down (§3.3, eq. 12).
int64_t adalora_budget(const AdaLoraConfig& config, int64_t initial, int64_t target, int64_t step);

// What AdaLoRA does in a step, in the order of PEFT's AdaLoraModel.update_and_allocate called after the optimizer's
// step with the number of steps done:
//   - adds the gradient of orth_reg_weight · mean over all P and Q of ‖PᵀP - I‖, ‖QQᵀ - I‖ (Frobenius; eq. 4);
//   - after the update, until step total_step - tfinal: averages the sensitivity |w·∂w| of every entry and its
//     uncertainty with β1 and β2 (eq. 9 to 11), and every delta_t steps zeroes the Λ of the triplets with the lowest
//     scores, as many as the budget asks; a triplet that was zeroed goes on learning and may come back;
//   - from that step on: the triplets that are zero stay so.
// Metrics: orth_loss, what the term adds to the trained loss, every step ("loss" is without it); rank_budget and
// rank_total where triplets were chosen; rank_pattern, the rank of each module, where they were for the last time.
// State: both averages, up to the last choice; which Λ are zero says the rest.
//
// Throws RecipeError, with the reason, where `total_steps` leave nothing to prune or no step to do it in.
std::unique_ptr<TrainingHooks> adalora_hooks(const Adaptation& adaptation, const AdapterConfig& config,
                                             int64_t total_steps);

}  // namespace lora
