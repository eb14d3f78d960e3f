#include "lora/training/flops.h"

#include <algorithm>

namespace lora {
namespace {

// The pairs of a query and a key that it sees, in one sample and layer.
double seen_pairs(int64_t length, int64_t window) {
  const auto t = static_cast<double>(length);
  const double beyond = window ? static_cast<double>(std::max<int64_t>(0, length - window)) : 0;
  return 0.5 * t * (t + 1) - 0.5 * beyond * (beyond + 1);
}

}  // namespace

double pass_flops(const LlamaForCausalLM& model, const std::vector<int64_t>& sample_lengths, int64_t supervised) {
  double tokens = 0, flops = 0;
  for (const int64_t length : sample_lengths) {
    tokens += static_cast<double>(length);
    for (const auto& layer : model.model->layers) {
      const LayerStructure& structure = layer->structure();
      const auto width = static_cast<double>(structure.heads.heads * structure.heads.dim);
      flops += 2.0 * 6.0 * width * seen_pairs(length, structure.scores.window);
    }
  }
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
  return flops;
}

}  // namespace lora
