#pragma once
// How to train: the plain form of a recipe's `training` and `evaluation` sections.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/base/names.h"

namespace lora {

// What passes cost: see memory_plan.h.
enum class MemoryMode { kAuto, kLow, kFast };
inline const Names& names_of(MemoryMode) {
  static const Names names = {{"auto", "low", "fast"}, {{"minimal", "low"}, {"high", "fast"}}};
  return names;
}

inline const Names& optimizer_names() {
  static const Names names = {{"adamw"},
                              {{"adamw_torch", "adamw"}, {"adamw_torch_fused", "adamw"}, {"adamw_hf", "adamw"}}};
  return names;
}

// The loss of objectives dpo, cpo (sigmoid and hinge) and kto (apo_zero) on preferences; see objectives/.
enum class PairLoss { kSigmoid, kHinge, kRobust, kIpo, kApoZero, kApoDown, kSigmoidNorm };
inline const Names& names_of(PairLoss) {
  static const Names names = {{"sigmoid", "hinge", "robust", "ipo", "apo_zero", "apo_down", "sigmoid_norm"},
                              {{"apo_zero_unpaired", "apo_zero"}, {"dpo", "sigmoid"}, {"dpo_norm", "sigmoid_norm"}}};
  return names;
}

// What log-probabilities are compared with: the model that training begins from, where the objective compares.
enum class ReferenceKind { kAuto, kInitial, kNone };
inline const Names& names_of(ReferenceKind) {
  static const Names names = {{"auto", "initial", "none"}};
  return names;
}

// Of the objectives on preferences. Defaults are TRL's.
struct PreferenceConfig {
  double beta = 0.1;
  PairLoss loss = PairLoss::kSigmoid;
  double label_smoothing = 0;  // the share of pairs that are thought to be the wrong way round
  ReferenceKind reference = ReferenceKind::kAuto;
  double simpo_gamma = 0.5;
  std::optional<double> cpo_alpha;  // of the chosen answers' likelihood; none: 1 for cpo, 0 for simpo
  double desirable_weight = 1, undesirable_weight = 1;  // kto
  double sft_weight = 0;                                // dpo, ipo: of the chosen answers' likelihood
  double center_rewards_coefficient = 0;                // reward
  bool share_prompt = true;                             // a pair's prompt is computed once for both answers
  bool operator==(const PreferenceConfig&) const = default;
};

struct TrainingConfig {
  uint64_t seed = 42;
  std::string objective = "causal_lm";  // one of objective_names() in objective.h
  PreferenceConfig preference;
  // Exactly one of the two is set.
  std::optional<int64_t> max_steps;
  std::optional<double> epochs;
  int64_t batch_size = 8;                   // rows, or pairs, an optimizer step
  std::optional<int64_t> micro_batch_size;  // rows a forward pass; none: auto
  int64_t max_length = 512;                 // tokens a row; longer samples are cut
  bool packing = true;                      // several samples a row, none sees another
  std::string optimizer = "adamw";          // one of optimizer_names()
  double learning_rate = 2e-4;
  // Group ("adapter", "head", "base") or module pattern (path or dotted suffix) -> its own rate; first match wins.
  std::vector<std::pair<std::string, double>> learning_rates;
  // LoRA+ (Hayou et al. 2024, §3): B learns at so many times the rate of A. 1: plain.
  double loraplus_lr_ratio = 1.0;
  std::string lr_schedule = "cosine";  // one of schedule_names() in schedules.h
  int64_t warmup_steps = 0;
  double warmup_ratio = 0.0;  // in place of warmup_steps: a share of all steps, rounded up, as in transformers
  double min_lr_ratio = 0.0;  // the schedule ends at this share of the rate
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double weight_decay = 0.0;
  double max_grad_norm = 1.0;           // 0: no clipping
  int64_t max_nonfinite_steps = 3;      // steps in a row that are skipped before the run ends; see Trainer::step
  int64_t eval_every = 0;               // steps; 0: only at the end
  int64_t checkpoint_every = 0;         // steps; 0: only at the end
  int64_t checkpoint_keep = 2;          // newest kept; the best is kept beside them
  bool keep_best = false;               // exports are of the checkpoint with the best evaluation
  std::string best_by = "loss";         // which one that is: the lowest loss, or a name of ObjectiveRow::measures
  int64_t early_stopping_patience = 0;  // evaluations without a better loss before the run ends; 0: never
  MemoryMode memory = MemoryMode::kAuto;
  std::optional<int64_t> memory_limit;  // bytes of resident memory; none: four fifths of the machine's
  bool fused = true;                    // decoder layers as one operation where they can be; false: plain autograd
  int64_t threads = 0;                  // 0: the physical cores
  bool operator==(const TrainingConfig&) const = default;
};

// Answers generated greedily for held-out rows, before and after training.
struct EvaluationConfig {
  int64_t exact_match = 0;  // validation rows to answer; 0: none
  int64_t show = 3;         // answers printed
  int64_t max_new_tokens = 64;
  bool operator==(const EvaluationConfig&) const = default;
};

}  // namespace lora
