// SmolLM3 (Hugging Face 2025): LLaMA without positions in every fourth layer (NoPE; Yang et al. 2025).
#include "models/network/families/families.h"

namespace lora {

ModelConfig read_smollm3(const Fields& fields) {
  ModelConfig config;
  config.num_key_value_heads = 4;
  config.tie_word_embeddings = true;
  read_shape(fields, config);
  read_biases(fields, config);
  expect_activation(fields, "hidden_act", Activation::kSilu);
  config.rope = read_rope(fields, config, {.theta = 2000000.0});

  std::vector<int64_t> turned;  // 1: the layer has positions
  if (fields.has("no_rope_layers")) {
    turned = fields.ids("no_rope_layers");
    if (turned.size() < config.layers.size()) fields.fail("no_rope_layers", "has fewer entries than there are layers");
  } else {
    const int64_t interval = fields.size("no_rope_layer_interval", 4);
    for (int64_t i = 0; i < config.num_hidden_layers; ++i) turned.push_back((i + 1) % interval != 0);
  }
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (turned[i] == 0) config.layers[i].positions = Positions::kNone;
  }
  std::optional<int64_t> window = fields.optional_size("sliding_window", {});
  if (!fields.flag("use_sliding_window", false)) window.reset();
  read_windows(fields, config, window, [&](int64_t layer) { return turned[static_cast<size_t>(layer)] == 0; });
  return config;
}

}  // namespace lora
