#pragma once
// A model's shape: Hugging Face's config.json as a struct of values. Reading throws for a key that this code does not
// compute, and names it.
//
// The decoder (models/network/decoder.h) and the structure of its layers (models/network/layer_structure.h) are built
// from these fields. models/network/families/ has a function for each `model_type` that fills them.

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
  int64_t most_positions = 0;     // "dynamic", which is kDefault up to here and not supported beyond; 0: any number
  double attention_factor = 1.0;  // yarn, longrope: scales cosines and sines
  double beta_fast = 32, beta_slow = 1;           // yarn
  bool truncate = true;                           // yarn
  std::vector<double> short_factor, long_factor;  // longrope: a pair of dimensions each, up to and beyond `original…`

  int64_t rotated(int64_t head_dim) const { return dim ? dim : head_dim; }  // of a head's dimensions
};

// The rotary embedding of a layer's queries and keys.
enum class Positions { kNone, kGlobal, kLocal };

// The values that differ from layer to layer.
struct LayerConfig {
  int64_t window = 0;  // a token sees itself and the window − 1 tokens before it; 0: all tokens before it
  Positions positions = Positions::kGlobal;
};

// The names of a layer's norms. Empty: the layer has no such norm.
struct LayerNorms {
  std::string before_attention = "input_layernorm";
  std::string after_attention = "";  // applied to the attention's output, before the residual addition
  std::string before_mlp = "post_attention_layernorm";
  std::string after_mlp = "";
};

// RMSNorm's weight w and rounding in half precision; x̂ is the normalised input.
enum class NormKind {
  kPlain,    // w · round(x̂)
  kWide,     // round(w · x̂)
  kOnePlus,  // round((1 + w) · x̂)
};

// RMSNorm of queries and keys before the rotary embedding: none, over each head, or over all heads together.
enum class QkNorm { kNone, kHead, kWhole };

enum class Activation { kSilu, kGeluTanh };

// Of a vocabulary: beyond any model there is.
inline constexpr int64_t kMostTokens = 1 << 24;

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

  RopeConfig rope;                        // Positions::kGlobal
  RopeConfig local_rope;                  // Positions::kLocal
  std::vector<LayerConfig> layers;        // one a layer
  LayerNorms norms;                       // the same for every layer
  NormKind norm_kind = NormKind::kPlain;  // the same for every norm
  QkNorm qk_norm = QkNorm::kNone;
  Activation activation = Activation::kSilu;
  bool fused_projections = false;  // one Linear qkv_proj for q, k, v and one gate_up_proj for gate, up
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool tie_word_embeddings = false;

  double attention_scale = 0;          // factor of the scores; 0: 1/√head_dim
  double attention_softcap = 0;        // c: scores become c·tanh(score/c); 0: no cap
  double logit_softcap = 0;            // likewise for a language model's logits
  double embedding_scale = 1;          // factor of the embeddings
  bool round_embedding_scale = false;  // rounds embedding_scale to the model's dtype first
  double residual_scale = 1;           // factor of the outputs of attention and MLP before the residual addition
  double logit_divisor = 1;            // divides a language model's logits

  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;  // config.json gives one id or a list
  std::string dtype = "float32";       // as stored: float32 | float16 | bfloat16
  // Not of config.json: tokens that were added to the model. See new_rows.h.
  int64_t new_rows = 0;             // the last rows of the vocabulary, which are in no file of the model
  std::vector<int64_t> new_tokens;  // ids whose rows are to be trained with an adapter
  LabelNames labels;                // of …ForSequenceClassification's `score`; empty: a language model
  std::vector<std::string> notes;   // for the user: keys of config.json that are ignored on purpose
};

// Reads DIR/config.json. Throws ModelError, which names the file, the key, the value found and the supported values.
ModelConfig read_model_config(const std::filesystem::path& directory);

// The same from the text of the file. `where` names the file in errors.
ModelConfig parse_model_config(const std::string& text, const std::string& where);

}  // namespace lora
