#pragma once
// AdaLoRA in files: PEFT's ADALORA format, and the plain LoRA adapter that computes the same.

#include <nlohmann/json_fwd.hpp>

#include "lora/adapters/inject.h"
#include "lora/adapters/method.h"

namespace lora {

// Between adapter_config.json and the config: init_r, target_r, tinit, tfinal, deltaT, beta1, beta2, orth_reg_weight,
// total_step and rank_pattern. In a file the last maps "PATH.lora_E" to a list of init_r booleans, the triplets that
// are kept; in the config it maps PATH to their number. An adapter with no rank_pattern has all of its triplets in the
// file.
void write_adalora_config(nlohmann::ordered_json& file, const Adaptation& adaptation, const AdapterConfig& config);
// Takes the keys out of `file`. Throws ModelError, or what nlohmann throws for a value of another type.
void take_adalora_config(nlohmann::json& file, AdapterConfig& config);

// Without the triplets whose Λ is zero: layers over the same bases, of as many triplets as count; some of none at all.
// An adapter with nothing but zeros, which is one that was not trained, is left whole.
AdapterForm pruned_adalora(const Adaptation& adaptation, const AdapterConfig& config);

// The same as LoRA: A = Λ∘Q and B = P of the triplets that count, with each module's own rank and α (lora_alpha / r is
// what scales PΛQ). Modules without a triplet are no target.
AdapterForm adalora_as_lora(const Adaptation& adaptation, const AdapterConfig& config);

}  // namespace lora
