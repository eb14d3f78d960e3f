#pragma once
// Text generation with a KV cache, for several prompts in one batch.

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
  double top_p = 1.0;        // nucleus sampling: smallest set of tokens with this probability (Holtzman et al. 2020)
  uint64_t seed = 0;         // the same seed gives the same text
  std::vector<int64_t> eos_ids = {};
};

inline constexpr size_t kPromptsAtOnce = 32;  // the largest batch; callers split more prompts

// Called for every new token, in the order of generation, with the index of its prompt.
using OnToken = std::function<void(size_t prompt, int64_t id)>;

// Called before every forward pass, with the prompts in the order of the batch and the number of tokens of each.
using OnPass = std::function<void(const std::vector<int64_t>& prompts, const std::vector<int64_t>& lengths)>;

// The text that a model has read and written so far. A prompt with the same beginning is read only from the first
// token that differs; so is each turn of a conversation. Reset it (= {}) when the model's adapter or weights change.
struct KnownText {
  std::vector<int64_t> ids;  // the tokens whose keys and values are in the cache
  std::optional<KvCache> cache;
};

// Returns the new tokens of each prompt, without the end-of-sequence token. Prompts must not be empty. Deterministic.
// A greedy answer does not depend on the other prompts in the batch or on `known`, except for floating-point ties. With
// `known`, there must be only one prompt.
std::vector<std::vector<int64_t>> generate(LlamaForCausalLM& model, const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerationConfig& config, const OnToken& on_token = {},
                                           const OnPass& on_pass = {}, KnownText* known = nullptr);

}  // namespace lora
