// Granite 3 (IBM 2024): LLaMA with four constants that scale embeddings, scores, residuals and logits.
#include "models/network/families/families.h"

namespace lora {

ModelConfig read_granite(const Fields& fields) {
  ModelConfig config;
  read_shape(fields, config);
  read_biases(fields, config);
  expect_activation(fields, "hidden_act", Activation::kSilu);
  config.rope = read_rope(fields, config);
  config.embedding_scale = fields.positive("embedding_multiplier", 1);
  config.attention_scale = fields.positive("attention_multiplier", 1);
  config.residual_scale = fields.positive("residual_multiplier", 1);
  config.logit_divisor = fields.positive("logits_scaling", 1);
  return config;
}

}  // namespace lora
