#include "lora/training/flops.h"

#include <algorithm>

namespace lora {
namespace {

// Of a query and a key it sees, in one sample and layer.
double seen_pairs(int64_t length, int64_t window) {
  const auto t = static_cast<double>(length);
  const double beyond = window ? static_cast<double>(std::max<int64_t>(0, length - window)) : 0;
  return 0.5 * t * (t + 1) - 0.5 * beyond * (beyond + 1);
}

}  // namespace

double pass_flops(const LlamaForCausalLM& model, const std::vector<int64_t>& sample_lengths, int64_t supervised) {
  double tokens = 0, pairs = 0;  // pairs: in all layers
  for (const int64_t length : sample_lengths) {
    tokens += static_cast<double>(length);
    for (const LayerConfig& layer : model.config().layers) pairs += seen_pairs(length, layer.window);
  }
  double flops = 0;
  for (const auto& parameter : model.named_parameters()) {
    const at::Tensor& p = parameter.value();
    if (p.dim() != 2) continue;
    const bool embedding = parameter.key().starts_with("model.embed_tokens.");
    if (embedding && !model.has_tied_head()) continue;  // looked up, not multiplied
    const bool head = embedding || parameter.key().starts_with("lm_head.") || parameter.key().starts_with("score.");
    flops += (p.requires_grad() ? 6.0 : 4.0) * static_cast<double>(p.numel()) *
             (head ? static_cast<double>(supervised) : tokens);
  }
  for (const auto& module : model.modules(/*include_self=*/false)) {
    const auto linear = std::dynamic_pointer_cast<Linear>(module);
    if (!linear || !linear->children().empty() || !linear->weight_handle().packed()) continue;
    flops += 4.0 * static_cast<double>(linear->out_features() * linear->in_features()) * tokens;
  }
  const ModelConfig& c = model.config();
  return flops + 2.0 * 6.0 * pairs * static_cast<double>(c.num_attention_heads * c.head_dim);
}

}  // namespace lora
