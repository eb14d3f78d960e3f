#include "lora/inference/generation.h"

#include "lora/inference/plain_generation.h"
#include "models/base/error.h"

namespace lora {

Generated generate_batch(BatchDecoder& decoder, PrefixCache* cache, const std::vector<Asked>& asked,
                         const GenerationConfig& config, const OnToken& on_token) {
  Generated made{.answers = std::vector<std::vector<int64_t>>(asked.size())};
  if (config.max_new_tokens <= 0) return made;
  ContinuousBatch batch(decoder, cache, {.at_once = kPromptsAtOnce});
  for (size_t i = 0; i < asked.size(); ++i) {
    if (asked[i].prompt.empty()) throw ModelError("generation: a prompt has no tokens; expected at least one");
    batch.add({.model = asked[i].model,
               .prompt = asked[i].prompt,
               .sampling = config.sampling,
               .max_new_tokens = config.max_new_tokens,
               .end_ids = config.eos_ids,
               .on_token =
                   [&, i](int64_t id, std::span<const float> logits) {
                     made.answers[i].push_back(id);
                     return !on_token || on_token(i, id, logits);
                   },
               .on_end =
                   [&](AnswerEnd, int64_t) {
                     if (config.on_end) config.on_end();
                   }});
  }
  while (!batch.is_empty()) batch.pass();
  made.read = batch.tokens_read();
  return made;
}

void expect_model_dtype(KvDtype kv_dtype, const std::string& problem) {
  if (kv_dtype == KvDtype::kModel) return;
  throw ModelError("generation: keys and values of 8 bits need a model that is decoded in batches; this one is not: " +
                   problem);
}

Generator::Generator(LlamaForCausalLM& model, KvDtype kv_dtype, int64_t kept_bytes) : model_(model) {
  if (const auto problem = BatchDecoder::problem(model)) {
    expect_model_dtype(kv_dtype, *problem);
    return;
  }
  decoder_ = std::make_unique<BatchDecoder>(model, kv_dtype);
  snapshot_ = decoder_->snapshot(model);
  cache_ = std::make_unique<PrefixCache>(*decoder_, kept_bytes);
}

Generated Generator::generate(const std::vector<std::vector<int64_t>>& prompts, const GenerationConfig& config,
                              const OnToken& on_token) {
  if (!decoder_) return generate_plainly(model_, prompts, config, on_token);
  std::vector<Asked> asked;
  for (const auto& prompt : prompts) asked.push_back({snapshot_, prompt});
  return generate_batch(*decoder_, cache_.get(), asked, config, on_token);
}

std::vector<std::vector<int64_t>> generate(LlamaForCausalLM& model, const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerationConfig& config, const OnToken& on_token) {
  return Generator(model, config.kv_dtype, /*kept_bytes=*/0).generate(prompts, config, on_token).answers;
}

}  // namespace lora
