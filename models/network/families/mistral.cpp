// Mistral (Jiang et al. 2023): LLaMA. Its first version uses a sliding window in every layer.
#include "models/network/families/families.h"

namespace lora {

ModelConfig read_mistral(const Fields& fields) {
  ModelConfig config;
  config.num_key_value_heads = 8;
  read_shape(fields, config);
  expect_activation(fields, "hidden_act", Activation::kSilu);
  config.rope = read_rope(fields, config);
  const std::optional<int64_t> window = fields.optional_size("sliding_window", 4096);
  // transformers ignores layer_types here, so they may only confirm the window.
  for (const bool slides : read_layer_types(fields, config)) {
    if (slides != window.has_value()) {
      fields.fail("layer_types", "differ from 'sliding_window', which is of all layers in a mistral");
    }
  }
  for (LayerConfig& layer : config.layers) layer.window = window.value_or(0);
  return config;
}

}  // namespace lora
