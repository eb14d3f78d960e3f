// Phi-3, Phi-3.5 and Phi-4-mini (Abdin et al. 2024): one projection for q, k, v, another for gate and up; LongRoPE
// (Ding et al. 2024). Phi-4-mini rotates only a part of each head.
#include "models/network/families/families.h"

namespace lora {

ModelConfig read_phi3(const Fields& fields) {
  ModelConfig config;
  config.rms_norm_eps = 1e-5;
  config.max_position_embeddings = 4096;
  read_shape(fields, config);
  expect_activation(fields, "hidden_act", Activation::kSilu);
  config.fused_projections = true;
  for (const char* key : {"resid_pdrop", "embd_pdrop"}) note_dropout(fields, key, config);

  config.rope = read_rope(fields, config, {.partial = true, .yarn_is_longrope = true, .original_positions = 4096});
  for (LayerConfig& layer : config.layers) layer.window = fields.optional_size("sliding_window", {}).value_or(0);
  return config;
}

}  // namespace lora
