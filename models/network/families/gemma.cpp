// Gemma (Gemma Team 2024): norms multiply by 1 + w, embeddings are scaled by √hidden, and the MLP is a gated GELU.
// Gemma 2 adds norms after attention and MLP, caps scores and logits by a tanh, and uses a sliding window in every
// other layer. Gemma 3 (2025, text models) replaces the caps by norms of queries and keys. Five of its six layers use a
// sliding window and a rotary embedding of their own.
#include <cmath>

#include "models/network/families/families.h"

namespace lora {
namespace {

ModelConfig read_any_gemma(const Fields& fields, int64_t kv_heads, int64_t max_positions, const char* activation_key) {
  ModelConfig config;
  config.head_dim = 256;
  config.num_key_value_heads = kv_heads;
  config.max_position_embeddings = max_positions;
  config.tie_word_embeddings = true;
  read_shape(fields, config);
  if (fields.flag("use_bidirectional_attention", false)) {
    fields.fail("use_bidirectional_attention", "is true; supported is causal attention");
  }
  expect_activation(fields, activation_key, Activation::kGeluTanh);
  config.activation = Activation::kGeluTanh;
  config.qkv_bias = config.o_bias = fields.flag("attention_bias", false);
  config.norm_kind = NormKind::kOnePlus;
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  config.round_embedding_scale = true;
  return config;
}

// The settings that Gemma 2 and 3 share. Every `full_every`-th layer has full attention, the others a sliding window.
void read_later_gemma(const Fields& fields, ModelConfig& config, int64_t full_every) {
  config.norms = {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                  "post_feedforward_layernorm"};
  config.attention_scale = 1.0 / std::sqrt(fields.positive("query_pre_attn_scalar", 256));
  read_windows(fields, config, fields.optional_size("sliding_window", 4096),
               [&](int64_t layer) { return (layer + 1) % full_every != 0; });
}

}  // namespace

ModelConfig read_gemma(const Fields& fields) {
  ModelConfig config = read_any_gemma(fields, 16, 8192, "hidden_act");
  config.rope = read_rope(fields, config);
  return config;
}

ModelConfig read_gemma2(const Fields& fields) {
  ModelConfig config = read_any_gemma(fields, 4, 8192, "hidden_activation");
  read_later_gemma(fields, config, 2);
  config.attention_softcap = fields.optional_positive("attn_logit_softcapping", 50.0).value_or(0);
  config.logit_softcap = fields.optional_positive("final_logit_softcapping", 30.0).value_or(0);
  config.rope = read_rope(fields, config);
  return config;
}

ModelConfig read_gemma3_text(const Fields& fields) {
  ModelConfig config = read_any_gemma(fields, 4, 131072, "hidden_activation");
  read_later_gemma(fields, config, fields.size("sliding_window_pattern", 6));
  config.qk_norm = QkNorm::kHead;
  // transformers' Gemma 3 has this key but ignores it.
  if (fields.has("attn_logit_softcapping")) fields.fail("attn_logit_softcapping", "is set; a gemma3_text has none");
  config.logit_softcap = fields.optional_positive("final_logit_softcapping", {}).value_or(0);

  const RopeDefaults global{.theta = 1e6}, local{.theta = 1e4, .theta_key = "rope_local_base_freq"};
  if (fields.has("rope_parameters")) {
    const Fields both = fields.object("rope_parameters");
    config.rope = read_rope_object(both.object("full_attention"), fields, config, global);
    config.local_rope = read_rope_object(both.object("sliding_attention"), fields, config, local);
  } else {
    config.rope = read_rope(fields, config, global);  // rope_scaling applies to the global layers
    config.local_rope.theta = fields.positive("rope_local_base_freq", 1e4);
  }
  for (LayerConfig& layer : config.layers) {
    if (layer.window) layer.positions = Positions::kLocal;
  }
  return config;
}

}  // namespace lora
