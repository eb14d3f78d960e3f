#pragma once
// AdaLoRA (Zhang et al. 2023, arXiv 2303.10512): an update in the form of a singular value decomposition, P Λ Q (§3.1).
// All modules begin with the same rank. A budget that shrinks on a cubic schedule prunes the least important triplets,
// wherever in the network they are. A triplet is a column of P, an entry of Λ and a row of Q; zeroing its Λ prunes it.
//
// A step does what PEFT's AdaLoraModel.update_and_allocate does when it is called after the optimizer's step with the
// number of steps done:
//   - adds the gradient of orth_reg_weight · mean over all P and Q of ‖PᵀP - I‖, ‖QQᵀ - I‖ (Frobenius; eq. 4);
//   - after the update, until step total_step - tfinal: averages the sensitivity |w·∂w| of every entry and its
//     uncertainty with β1 and β2 (eq. 9 to 11). Every delta_t steps it zeroes the Λ of the triplets with the lowest
//     scores, as many as the budget says. A zeroed triplet continues to learn and may come back;
//   - from that step on: keeps the triplets that are zero at zero.
// Metrics: orth_loss, what the term adds to the trained loss, every step ("loss" is without it); rank_budget and
// rank_total where triplets were chosen; rank_pattern, the rank of each module, at the last choice.
// State: both averages, up to the last choice. Which Λ are zero says the rest.
// The hooks throw RecipeError, with the reason, where the run's steps leave nothing to prune or no step to do it in.
//
// Files: PEFT's ADALORA format with init_r, target_r, tinit, tfinal, deltaT, beta1, beta2, orth_reg_weight, total_step
// and rank_pattern. In a file the last maps "PATH.lora_E" to a list of init_r booleans, the triplets that are kept; in
// the config it maps PATH to their number. An adapter without rank_pattern has all of its triplets in the file.
// Finished, an adapter is without the triplets whose Λ is zero: its layers have as many triplets as count, some none.
// An adapter with nothing but zeros was not trained and is left whole.
// As LoRA, A = Λ∘Q and B = P of the triplets that count, with each module's own rank and α (lora_alpha / r is what
// scales PΛQ). Modules without a triplet are not targets.

#include "lora/adapters/adapter_linear.h"
#include "lora/adapters/method.h"

namespace lora {

// y = W x + s·P·(Λ∘Q)·dropout(x) with PEFT's s = α / (r₀ + 1e-5). r₀ is config.rank: the rank before any pruning, also
// of a layer that was loaded with fewer triplets (options.rank, which may be 0: then y = W x). Q (r, in), Λ (r, 1) and
// P (out, r) are float32 under PEFT's names. P and Q start as N(0, 0.02²), Λ at zero.
class AdaLoraLinear final : public AdapterLinear {
 public:
  AdaLoraLinear(std::shared_ptr<Linear> base, const LayerOptions& options);
  at::Tensor forward(const at::Tensor& x) override;
  // As low rank: the product Λ∘Q is one small node of autograd.
  std::optional<LinearParts> parts() const override;
  at::Tensor merged_weight() const override;
  std::optional<LowRankUpdate> update() const override;
  std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const override;
  double scaling() const { return scaling_; }

  at::Tensor lora_A, lora_E, lora_B;  // Q, Λ, P
  // Which of the r₀ triplets these are: r of them are true. The pattern of PEFT's adapter_config.json.
  std::vector<bool> pattern;

 private:
  double scaling_, dropout_;
};

// The number of triplets of all modules together that are left after optimizer step `step` (from 1 on): `initial` up to
// step tinit, `target` from total_step - tfinal on, and between them target + (initial - target)·(1 - progress)³,
// rounded down (§3.3, eq. 12).
int64_t adalora_budget(const AdaLoraConfig& config, int64_t initial, int64_t target, int64_t step);

Method adalora_method();

}  // namespace lora
