// OLMo 2 (OLMo Team 2024): norms after attention and MLP instead of before, and one norm over all queries and all keys.
#include "models/network/families/families.h"

namespace lora {

ModelConfig read_olmo2(const Fields& fields) {
  ModelConfig config;
  config.rms_norm_eps = 1e-5;
  read_shape(fields, config);
  expect_activation(fields, "hidden_act", Activation::kSilu);
  config.qkv_bias = config.o_bias = fields.flag("attention_bias", false);
  config.norms = {"", "post_attention_layernorm", "", "post_feedforward_layernorm"};
  config.norm_kind = NormKind::kWide;
  config.qk_norm = QkNorm::kWhole;
  config.rope = read_rope(fields, config);
  return config;
}

}  // namespace lora
