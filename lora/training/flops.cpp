#include "lora/training/flops.h"

namespace lora {

double pass_flops(const LlamaForCausalLM& model, const std::vector<int64_t>& sample_lengths, int64_t supervised) {
  double tokens = 0, pairs = 0;
  for (const int64_t length : sample_lengths) {
    const auto t = static_cast<double>(length);
    tokens += t;
    pairs += 0.5 * t * (t + 1);
  }
  double flops = 0;
  for (const auto& parameter : model.named_parameters()) {
    const at::Tensor& p = parameter.value();
    if (p.dim() != 2) continue;
    const bool embedding = parameter.key() == "model.embed_tokens.weight";
    if (embedding && model.output_head()) continue;  // looked up, not multiplied
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
  return flops + 2.0 * 6.0 * pairs * static_cast<double>(c.num_attention_heads * c.head_dim * c.num_hidden_layers);
}

}  // namespace lora
