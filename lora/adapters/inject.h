#pragma once
// Puts an adapter into a loaded model, or opens the whole of the model for training.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/adapted_model.h"
#include "lora/adapters/config.h"
#include "lora/adapters/matcher.h"

namespace lora {

// Wraps every module that `config` means and makes modules_to_save(model, config) trainable; method full makes
// everything trainable. A tied head that is adapted or trained apart from embed_tokens (ensure_weight_tying false)
// becomes a module of its own. Afterwards exactly the trained parameters require a gradient; they are float32 and own
// their memory. A module's fresh weights depend on `seed` and its path alone, and on the base's weight where
// config.init starts from it. With `fresh` false the caller is about to load weights, and a costly start is left out.
//
// Rows of new tokens (ModelConfig::new_tokens) are trained too, as trainable_token_indices, where nothing else of the
// config trains them and the head is tied; else see expect_new_rows_trained().
//
// Throws Error (exit code 2) as match_modules does, for a rank that no weight of that shape can have and where a
// quantized weight would be trained whole; ModelError for init_from, and for all of these where config.file has the
// config. Where it throws, the model is as it was.
AdaptedModel inject(std::shared_ptr<LlamaForCausalLM> model, const AdapterConfig& config, uint64_t seed,
                    bool fresh = true);

// The patterns of `config` that match no module of a bare model: those for which inject() refuses a recipe's. Throws
// Error (exit code 2) for a text that is not a pattern.
std::vector<UnmatchedPattern> unmatched_patterns(const LlamaForCausalLM& model, const AdapterConfig& config);

// The paths of the modules that `config` adapts or trains whole in a bare model. Throws as inject() does.
std::vector<std::string> meant_paths(const LlamaForCausalLM& model, const AdapterConfig& config);

// Throws AdapterError where rows of new tokens (ModelConfig::new_rows, new_tokens) are not all trained: a file of the
// adapter would not have them.
void expect_new_rows_trained(const AdaptedModel& adapted);

}  // namespace lora
