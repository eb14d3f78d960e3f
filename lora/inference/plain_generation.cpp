#include "lora/inference/plain_generation.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "models/base/error.h"
#include "models/network/kv_cache.h"

namespace lora {

Generated generate_plainly(LlamaForCausalLM& model, const std::vector<std::vector<int64_t>>& prompts,
                           const GenerationConfig& config, const OnToken& on_token, const OnPass& on_pass) {
  const at::NoGradGuard no_gradients;
  Generated made{.answers = std::vector<std::vector<int64_t>>(prompts.size())};
  if (prompts.empty() || config.max_new_tokens <= 0) return made;

  int64_t longest = 0;
  std::vector<int64_t> next;  // tokens of the next forward pass, prompts concatenated
  std::vector<Sampler> samplers;
  TokenBatch batch;
  const ModelConfig& shape = model.config();
  for (const auto& prompt : prompts) {
    if (prompt.empty()) throw ModelError("generation: a prompt has no tokens; expected at least one");
    if (const int64_t id = std::ranges::max(prompt); id >= shape.vocab_size) {
      throw ModelError("generation: a prompt has the token " + std::to_string(id) + ", and the model has " +
                       std::to_string(shape.vocab_size) + " rows; expected a text without this token");
    }
    longest = std::max(longest, static_cast<int64_t>(prompt.size()));
    next.insert(next.end(), prompt.begin(), prompt.end());
    batch.lengths.push_back(static_cast<int64_t>(prompt.size()));
    samplers.emplace_back(config.sampling, prompt, config.eos_ids);
  }
  made.read = static_cast<int64_t>(next.size());
  const at::Device device = model.device();
  KvCache cache(shape.num_hidden_layers, static_cast<int64_t>(prompts.size()), longest + config.max_new_tokens,
                shape.num_key_value_heads, shape.head_dim, at::TensorOptions(model.dtype()).device(device));

  for (int64_t step = 0; step < config.max_new_tokens && !cache.active.empty(); ++step) {
    batch.input_ids = at::tensor(next, at::kLong).to(device);
    if (on_pass) on_pass(cache.active, batch.lengths);
    const at::Tensor hidden = model.model->forward(batch, {}, &cache);
    const at::Tensor last = at::tensor(batch.lengths, at::kLong).cumsum(0).sub_(1).to(device);
    const at::Tensor logits = model.logits(hidden.index_select(0, last)).to(at::kFloat).cpu().contiguous();

    next.clear();
    std::vector<int64_t> going_on;
    const bool last_step = step + 1 == config.max_new_tokens;
    for (size_t i = 0; i < cache.active.size(); ++i) {
      const auto prompt = static_cast<size_t>(cache.active[i]);
      const auto columns = static_cast<size_t>(logits.size(1));
      const std::span<const float> row(logits.const_data_ptr<float>() + i * columns, columns);
      const int64_t id = samplers[prompt].next(row);
      if (std::ranges::find(config.eos_ids, id) != config.eos_ids.end()) continue;
      made.answers[prompt].push_back(id);
      if (on_token && !on_token(prompt, id, row)) continue;
      if (samplers[prompt].is_over()) continue;
      next.push_back(id);
      going_on.push_back(cache.active[i]);
    }
    if (config.on_end) {
      for (size_t ended = last_step ? 0 : going_on.size(); ended < cache.active.size(); ++ended) config.on_end();
    }
    cache.active = going_on;
    batch.lengths.assign(going_on.size(), 1);
  }
  return made;
}

}  // namespace lora
