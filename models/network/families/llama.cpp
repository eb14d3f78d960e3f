// LLaMA 1 to 3.3 (Touvron et al. 2023), and models with the same config.json: TinyLlama, SmolLM, SmolLM2, Yi …
#include "models/network/families/families.h"

namespace lora {

ModelConfig read_llama(const Fields& fields) {
  ModelConfig config;
  read_shape(fields, config);
  read_biases(fields, config);
  expect_activation(fields, "hidden_act", Activation::kSilu);
  config.rope = read_rope(fields, config);
  if (fields.flag("use_sliding_window", false)) {
    fields.fail("use_sliding_window", "is true; a llama's layers see everything");
  }
  return config;
}

}  // namespace lora
