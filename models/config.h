#pragma once
// A model's shape: Hugging Face's config.json as plain values. What this code does not compute is refused by name.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "models/labels.h"

namespace lora {

// Rotary position embedding: which frequencies are used (transformers' `rope_type`).
struct RopeConfig {
  enum class Type { kDefault, kLinear, kLlama3 };
  Type type = Type::kDefault;
  double theta = 10000.0;
  double factor = 1.0;  // linear, llama3
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position_embeddings = 8192;
};

struct ModelConfig {
  std::string model_type;  // llama | qwen2
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;
  double initializer_range = 0.02;
  RopeConfig rope;
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool tie_word_embeddings = false;
  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;  // config.json gives one or a list
  std::string dtype = "float32";       // as stored: float32 | float16 | bfloat16
  LabelNames labels;                   // of …ForSequenceClassification's `score`; empty: a language model
};

// Reads DIR/config.json. Throws ModelError that names the file, the key, what was found and what is supported.
ModelConfig read_model_config(const std::filesystem::path& directory);

// The same from the file's text; `where` names it in errors.
ModelConfig parse_model_config(const std::string& text, const std::string& where);

}  // namespace lora
