#pragma once
// The structure of a model: Hugging Face's config.json as a struct. An unsupported setting throws with its key.
//
// The decoder in models/network/decoder.h is built from these fields. models/network/families/ decides which of them a
// `model_type` sets, and to which value.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "models/network/labels.h"

namespace lora {

// Rotary position embedding. The type selects the frequencies (transformers' `rope_type`).
struct RopeConfig {
  enum class Type { kDefault, kLinear, kLlama3, kYarn, kLongRope };
  Type type = Type::kDefault;
  double theta = 10000.0;
  int64_t dim = 0;      // the leading dimensions of a head that are rotated; 0: all
  double factor = 1.0;  // linear, llama3, yarn
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position_embeddings = 8192;  // llama3, yarn, longrope
  double attention_factor = 1.0;                    // yarn, longrope: scales cosines and sines
  double beta_fast = 32, beta_slow = 1;             // yarn
  bool truncate = true;                             // yarn
  std::vector<double> short_factor, long_factor;  // longrope: one per pair of dimensions, up to / beyond `original…`
};

// The rotary embedding of a layer's queries and keys.
enum class Positions { kNone, kGlobal, kLocal };

// Settings that may differ between layers.
struct LayerConfig {
  int64_t window = 0;  // a token attends to itself and the window − 1 tokens before; 0: to all before
  Positions positions = Positions::kGlobal;
};

// The names of a layer's norms. An empty name: the layer does not have this norm.
struct LayerNorms {
  std::string before_attention = "input_layernorm";
  std::string after_attention = "";  // applied to attention's output, before the residual sum
  std::string before_mlp = "post_attention_layernorm";
  std::string after_mlp = "";
};

// How RMSNorm rounds in half precision, and what its weight means.
enum class NormKind {
  kPlain,    // w · round(x̂)
  kWide,     // round(w · x̂)
  kOnePlus,  // round((1 + w) · x̂)
};

// RMSNorm of queries and keys before the rotation.
enum class QkNorm { kNone, kHead, kWhole };  // per head; over all heads together

enum class Activation { kSilu, kGeluTanh };

struct ModelConfig {
  std::string model_type;  // a model_type of families/families.h
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

  RopeConfig rope;                        // for Positions::kGlobal
  RopeConfig local_rope;                  // for Positions::kLocal
  std::vector<LayerConfig> layers;        // one entry per layer
  LayerNorms norms;                       // the same in every layer
  NormKind norm_kind = NormKind::kPlain;  // of every norm
  QkNorm qk_norm = QkNorm::kNone;
  Activation activation = Activation::kSilu;
  bool fused_projections = false;  // one Linear qkv_proj for q, k, v and one gate_up_proj for gate, up
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool tie_word_embeddings = false;

  double attention_scale = 0;          // multiplies the scores; 0: 1/√head_dim
  double attention_softcap = 0;        // c: scores become c·tanh(score/c); 0: no cap
  double logit_softcap = 0;            // the same for a language model's logits
  double embedding_scale = 1;          // multiplies the embeddings
  bool round_embedding_scale = false;  // rounds embedding_scale to the model's dtype first
  double residual_scale = 1;           // multiplies the outputs of attention and MLP before the residual sum
  double logit_divisor = 1;            // divides a language model's logits

  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;  // config.json gives one id or a list
  std::string dtype = "float32";       // as stored: float32 | float16 | bfloat16
  LabelNames labels;                   // rows of …ForSequenceClassification's `score`; empty: a language model
  std::vector<std::string> notes;      // settings in config.json that are ignored on purpose; shown to the user
};

// Reads DIR/config.json. Throws ModelError with the file, the key, what was found and what is supported.
ModelConfig read_model_config(const std::filesystem::path& directory);

// The same from the text of the file. `where` names the file in errors.
ModelConfig parse_model_config(const std::string& text, const std::string& where);

}  // namespace lora
