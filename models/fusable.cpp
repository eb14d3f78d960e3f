#include "models/fusable.h"

#include <cmath>

namespace lora {

std::string beyond_fused(const ModelConfig& config) {
  const double scale = config.attention_scale * std::sqrt(static_cast<double>(config.head_dim));
  if (config.attention_scale != 0 && std::abs(scale - 1) > 1e-9) return "scores have a scale of their own";
  if (config.attention_softcap != 0) return "scores are capped";
  if (config.residual_scale != 1) return "residuals are scaled";
  if (config.rope.dim != 0) return "only part of a head is turned";
  return "";
}

}  // namespace lora
