#include "lora/inference/generation.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <stdexcept>

#include "models/base/error.h"

namespace lora {
namespace {

// Samples a token from logits (V). Tokens outside the top-p set get probability 0; the most likely token always stays.
int64_t sample(const at::Tensor& logits, const GenerationConfig& config, at::Generator& generator) {
  at::Tensor p = at::softmax(logits / config.temperature, -1);
  if (config.top_p < 1.0) {
    const auto [sorted, order] = p.sort(/*dim=*/-1, /*descending=*/true);
    const at::Tensor before = sorted.cumsum(-1) - sorted;
    p = at::zeros_like(p).scatter_(0, order, sorted.masked_fill(before >= config.top_p, 0.0));
  }
  return at::multinomial(p, 1, /*replacement=*/false, generator).item<int64_t>();
}

// The number of leading prompt tokens that need not be read again. The last token is always read, because its logits
// are needed. LongRoPE: keys rotated with the short-context factors are not valid in a long context, so nothing is
// reused.
size_t known_tokens(const KnownText& known, const std::vector<int64_t>& prompt, const ModelConfig& config) {
  if (!known.cache || config.rope.type == RopeConfig::Type::kLongRope) return 0;
  const auto parted = std::ranges::mismatch(known.ids, prompt).in2;
  return std::min(static_cast<size_t>(parted - prompt.begin()), prompt.size() - 1);
}

}  // namespace

std::vector<std::vector<int64_t>> generate(LlamaForCausalLM& model, const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerationConfig& config, const OnToken& on_token,
                                           const OnPass& on_pass, KnownText* known) {
  const at::NoGradGuard no_gradients;
  std::vector<std::vector<int64_t>> answers(prompts.size());
  if (prompts.empty() || config.max_new_tokens <= 0) return answers;

  if (known && prompts.size() != 1) throw std::logic_error("generate: what is known is of one prompt");
  int64_t longest = 0;
  std::vector<int64_t> next;  // tokens of the next forward pass, prompts concatenated
  TokenBatch batch;
  const ModelConfig& shape = model.config();
  for (const auto& prompt : prompts) {
    if (prompt.empty()) throw ModelError("generation: a prompt has no tokens; expected at least one");
    if (const int64_t id = std::ranges::max(prompt); id >= shape.vocab_size) {
      throw ModelError("generation: a prompt has the token " + std::to_string(id) + ", and the model has " +
                       std::to_string(shape.vocab_size) + " rows; expected a text without this token");
    }
    const size_t held = known ? known_tokens(*known, prompt, shape) : 0;
    longest = std::max(longest, static_cast<int64_t>(prompt.size()));
    next.insert(next.end(), prompt.begin() + static_cast<std::ptrdiff_t>(held), prompt.end());
    batch.lengths.push_back(static_cast<int64_t>(prompt.size() - held));
  }
  const at::Device device = model.model->embed_tokens->weight_matrix().device();
  std::optional<KvCache> own;
  std::optional<KvCache>& held = known ? known->cache : own;
  const int64_t capacity = longest + config.max_new_tokens;
  if (!held) {
    held.emplace(shape.num_hidden_layers, static_cast<int64_t>(prompts.size()), capacity, shape.num_key_value_heads,
                 shape.head_dim, at::TensorOptions(model.dtype()).device(device));
  }
  KvCache& cache = *held;
  if (known) {
    cache.reserve(capacity);
    cache.lengths = {longest - batch.lengths.front()};
    cache.active = {0};
    known->ids.resize(static_cast<size_t>(cache.lengths.front()));
  }
  at::Generator generator = at::detail::createCPUGenerator(config.seed);

  for (int64_t step = 0; step < config.max_new_tokens && !cache.active.empty(); ++step) {
    batch.input_ids = at::tensor(next, at::kLong).to(device);
    if (on_pass) on_pass(cache.active, batch.lengths);
    const at::Tensor hidden = model.model->forward(batch, {}, &cache);
    if (known) known->ids.insert(known->ids.end(), next.begin(), next.end());
    const at::Tensor last = at::tensor(batch.lengths, at::kLong).cumsum(0).sub_(1).to(device);
    const at::Tensor logits = model.logits(hidden.index_select(0, last)).to(at::kFloat).cpu();
    const at::Tensor best = logits.argmax(-1);

    next.clear();
    std::vector<int64_t> going_on;
    for (size_t i = 0; i < cache.active.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      const int64_t id = config.temperature > 0 ? sample(logits[row], config, generator) : best[row].item<int64_t>();
      if (std::ranges::find(config.eos_ids, id) != config.eos_ids.end()) continue;
      const auto prompt = static_cast<size_t>(cache.active[i]);
      answers[prompt].push_back(id);
      if (on_token) on_token(prompt, id);
      next.push_back(id);
      going_on.push_back(cache.active[i]);
    }
    cache.active = going_on;
    batch.lengths.assign(going_on.size(), 1);
  }
  return answers;
}

}  // namespace lora
