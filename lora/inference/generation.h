#pragma once
// Text generation with a KV cache, for several prompts at once.

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "models/network/decoder.h"
#include "models/network/kv_cache.h"

namespace lora {

struct GenerationConfig {
  int64_t max_new_tokens = 64;
  double temperature = 0.0;  // 0: greedy
  double top_p = 1.0;        // the smallest set of tokens whose probability reaches this (Holtzman et al. 2020)
  uint64_t seed = 0;         // the same seed gives the same text
  std::vector<int64_t> eos_ids = {};
};

inline constexpr size_t kPromptsAtOnce = 32;  // more are answered in turns

// Called for every new token, in the order of generation: the prompt's index and the token.
using OnToken = std::function<void(size_t prompt, int64_t id)>;

// Called before every forward pass: the prompts it goes on with, in the batch's order, and the tokens of each.
using OnPass = std::function<void(const std::vector<int64_t>& prompts, const std::vector<int64_t>& lengths)>;

// What a model has read and written of one text. A prompt that begins as that text does is read from where it parts
// from it, as each turn of a conversation is. To be forgotten (= {}) when another adapter or weight comes into the
// model.
struct KnownText {
  std::vector<int64_t> ids;  // whose keys and values are held
  std::optional<KvCache> cache;
};

// New tokens of each prompt, without the end-of-sequence token that ended it. Prompts are non-empty. Deterministic; a
// prompt's greedy answer does not depend on the prompts beside it, or on what is known of it, up to floating-point
// ties. `known` is of the one prompt there may be with it.
std::vector<std::vector<int64_t>> generate(LlamaForCausalLM& model, const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerationConfig& config, const OnToken& on_token = {},
                                           const OnPass& on_pass = {}, KnownText* known = nullptr);

}  // namespace lora
