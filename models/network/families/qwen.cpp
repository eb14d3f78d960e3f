// Qwen2 and Qwen2.5 (Yang et al. 2024): biases on q, k and v. Qwen3 (2025): norms of queries and keys instead of
// biases.
#include "models/network/families/families.h"

namespace lora {
namespace {

void read_qwen_windows(const Fields& fields, ModelConfig& config) {
  std::optional<int64_t> window = fields.optional_size("sliding_window", 4096);
  if (!fields.flag("use_sliding_window", false)) window.reset();
  const int64_t first = fields.whole("max_window_layers", 28);
  read_windows(fields, config, window, [&](int64_t layer) { return layer >= first; });
}

}  // namespace

ModelConfig read_qwen2(const Fields& fields) {
  ModelConfig config;
  read_shape(fields, config);
  expect_activation(fields, "hidden_act", Activation::kSilu);
  config.qkv_bias = true;  // always; config.json does not contain it
  config.rope = read_rope(fields, config);
  read_qwen_windows(fields, config);
  return config;
}

ModelConfig read_qwen3(const Fields& fields) {
  ModelConfig config;
  config.head_dim = 128;
  read_shape(fields, config);
  expect_activation(fields, "hidden_act", Activation::kSilu);
  config.qkv_bias = config.o_bias = fields.flag("attention_bias", false);
  config.qk_norm = QkNorm::kHead;
  config.rope = read_rope(fields, config);
  read_qwen_windows(fields, config);
  return config;
}

}  // namespace lora
