#pragma once
// Text generation for several prompts at once, each answer with its own sampler: by ContinuousBatch, or where a model is
// not decoded in batches, by plain_generation.h.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lora/inference/continuous_batch.h"
#include "lora/inference/sampling.h"
#include "models/network/decoder.h"

namespace lora {

struct GenerationConfig {
  int64_t max_new_tokens = 64;
  SamplingConfig sampling = {};
  std::vector<int64_t> eos_ids = {};
  std::vector<std::string> stop_texts = {};  // see stop_text.h; of those who know a tokenizer
  KvDtype kv_dtype = KvDtype::kModel;        // of those who make a decoder
  std::function<void()> on_end = {};         // called as each answer ends
};

inline constexpr size_t kPromptsAtOnce = 32;  // answers written side by side; the others wait

// Called for every new token, in the order in which a prompt's tokens come, with the prompt's index and the logits (V)
// that the token was drawn from, before penalties. False ends the answer.
using OnToken = std::function<bool(size_t prompt, int64_t id, std::span<const float> logits)>;

// A prompt and the model that answers it.
struct Asked {
  std::shared_ptr<const ModelSnapshot> model;
  std::vector<int64_t> prompt;
};

struct Generated {
  std::vector<std::vector<int64_t>> answers;  // without the end-of-sequence tokens, in the order of the prompts
  int64_t read = 0;                           // tokens of prompts, without those that were known
};

// Throws ModelError for a prompt without tokens. Deterministic. `cache` may be null.
Generated generate_batch(BatchDecoder& decoder, PrefixCache* cache, const std::vector<Asked>& asked,
                         const GenerationConfig& config, const OnToken& on_token = {});

// Throws ModelError for keys and values of 8 bits of a model that has this BatchDecoder::problem().
void expect_model_dtype(KvDtype kv_dtype, const std::string& problem);

// A model that answers again and again, and knows what it read and wrote before: a text with the same beginning is read
// from the first token that differs. One thread at a time.
class Generator {
 public:
  // The model as it is now, which is borrowed: make a new one when its adapter or its weights change. Keys and values
  // of earlier texts are kept up to so many bytes. Throws ModelError for 8-bit keys and values of a model that is not
  // decoded in batches.
  explicit Generator(LlamaForCausalLM& model, KvDtype kv_dtype = KvDtype::kModel,
                     int64_t kept_bytes = int64_t{1} << 31);

  Generated generate(const std::vector<std::vector<int64_t>>& prompts, const GenerationConfig& config,
                     const OnToken& on_token = {});

 private:
  LlamaForCausalLM& model_;
  std::unique_ptr<BatchDecoder> decoder_;  // null: the model is not decoded in batches
  std::shared_ptr<const ModelSnapshot> snapshot_;
  std::unique_ptr<PrefixCache> cache_;
};

// The answers of a model that is asked once.
std::vector<std::vector<int64_t>> generate(LlamaForCausalLM& model, const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerationConfig& config, const OnToken& on_token = {});

}  // namespace lora
