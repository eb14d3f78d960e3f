#pragma once
// A model's shape: Hugging Face's config.json as plain values. What this code does not compute is refused by name.
//
// The fields are what the decoder of models/network/decoder.h is built from; models/families/ says which of them a
// `model_type` sets, and to what.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "models/network/labels.h"

namespace lora {

// Rotary position embedding: which frequencies are used (transformers' `rope_type`).
struct RopeConfig {
  enum class Type { kDefault, kLinear, kLlama3, kYarn, kLongRope };
  Type type = Type::kDefault;
  double theta = 10000.0;
  int64_t dim = 0;      // leading dimensions of a head that turn; 0: all
  double factor = 1.0;  // linear, llama3, yarn
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position_embeddings = 8192;  // llama3, yarn, longrope
  double attention_factor = 1.0;                    // yarn, longrope: of cosines and sines
  double beta_fast = 32, beta_slow = 1;             // yarn
  bool truncate = true;                             // yarn
  std::vector<double> short_factor, long_factor;  // longrope: a pair of dimensions each, up to and beyond `original…`
};

// Which positions a layer's queries and keys are turned by.
enum class Positions { kNone, kGlobal, kLocal };

// What may differ from layer to layer.
struct LayerConfig {
  int64_t window = 0;  // a token sees itself and the window − 1 before it; 0: all before it
  Positions positions = Positions::kGlobal;
};

// The names of a layer's norms; an empty one is not there.
struct LayerNorms {
  std::string before_attention = "input_layernorm";
  std::string after_attention = "";  // of what attention adds to the residual stream
  std::string before_mlp = "post_attention_layernorm";
  std::string after_mlp = "";
};

// RMSNorm's rounding in half precision, and what its weight means.
enum class NormKind {
  kPlain,    // w · round(x̂)
  kWide,     // round(w · x̂)
  kOnePlus,  // round((1 + w) · x̂)
};

// RMSNorm of queries and keys before they are turned.
enum class QkNorm { kNone, kHead, kWhole };  // over each head, over all of them

enum class Activation { kSilu, kGeluTanh };

struct ModelConfig {
  std::string model_type;  // of families/families.h
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

  RopeConfig rope;                        // Positions::kGlobal
  RopeConfig local_rope;                  // Positions::kLocal
  std::vector<LayerConfig> layers;        // one a layer
  LayerNorms norms;                       // of every layer
  NormKind norm_kind = NormKind::kPlain;  // of every norm
  QkNorm qk_norm = QkNorm::kNone;
  Activation activation = Activation::kSilu;
  bool fused_projections = false;  // qkv_proj and gate_up_proj, one Linear each, for q, k, v and gate, up
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool tie_word_embeddings = false;

  double attention_scale = 0;          // of the scores; 0: 1/√head_dim
  double attention_softcap = 0;        // c: scores become c·tanh(score/c); 0: as they are
  double logit_softcap = 0;            // likewise, of a language model's logits
  double embedding_scale = 1;          // what the embeddings are multiplied by
  bool round_embedding_scale = false;  // to the model's dtype first
  double residual_scale = 1;           // what attention and MLP are multiplied by before they are added
  double logit_divisor = 1;            // of a language model's logits

  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;  // config.json gives one or a list
  std::string dtype = "float32";       // as stored: float32 | float16 | bfloat16
  LabelNames labels;                   // of …ForSequenceClassification's `score`; empty: a language model
  std::vector<std::string> notes;      // what config.json asks for and is left out on purpose: for the person
};

// Reads DIR/config.json. Throws ModelError that names the file, the key, what was found and what is supported.
ModelConfig read_model_config(const std::filesystem::path& directory);

// The same from the file's text; `where` names it in errors.
ModelConfig parse_model_config(const std::string& text, const std::string& where);

}  // namespace lora
