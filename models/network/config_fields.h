#pragma once
// Reads config.json's keys as typed values. Errors name the file and the key. Also reads the groups of keys that most
// families share.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "models/network/config.h"

namespace lora {

// A view of one JSON object. A null key counts as absent, except in optional_….
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }
  // An integer >= 1. Required if there is no fallback.
  int64_t size(const char* key, std::optional<int64_t> fallback = {}) const;
  int64_t whole(const char* key, int64_t fallback) const;  // >= 0
  double positive(const char* key, double fallback) const;
  // For keys where null means "none": nothing for null, `fallback` if the key is absent.
  std::optional<int64_t> optional_size(const char* key, std::optional<int64_t> fallback) const;
  std::optional<double> optional_positive(const char* key, std::optional<double> fallback) const;
  bool flag(const char* key, bool fallback) const;
  std::string text(const char* key, const std::string& fallback) const;
  std::vector<int64_t> ids(const char* key) const;     // one token id or a list of them
  std::vector<double> numbers(const char* key) const;  // a list of numbers > 0
  std::vector<std::string> texts(const char* key) const;
  Fields object(const char* key) const;  // throws if it is not an object

  const nlohmann::json& operator[](const char* key) const { return object_[key]; }
  [[noreturn]] void fail(const std::string& key, const std::string& message) const;

 private:
  const nlohmann::json& object_;
  std::string where_;
};

// Reads sizes, norm epsilon, token ids, tying, and one layer entry per layer, but not the defaults of biases. The
// values in `config` are the family's defaults; vocab_size and similar sizes have no default.
void read_shape(const Fields& fields, ModelConfig& config);

// Reads LLaMA's attention_bias and mlp_bias.
void read_biases(const Fields& fields, ModelConfig& config);

// Adds a note if the base model has a non-zero dropout, because it is ignored.
void note_dropout(const Fields& fields, const char* key, ModelConfig& config);

// A family's defaults for its rotary embedding.
struct RopeDefaults {
  double theta = 10000.0;
  const char* theta_key = "rope_theta";            // the key in config.json, if rope_parameters is absent
  bool partial = false;                            // reads partial_rotary_factor
  bool yarn_is_longrope = false;                   // the types "yarn" and "su" mean longrope
  std::optional<int64_t> original_positions = {};  // if original_max_position_embeddings is absent
};

// Reads `rope_scaling` or `rope_parameters`, and the related keys of config.json itself.
RopeConfig read_rope(const Fields& fields, const ModelConfig& config, const RopeDefaults& defaults = {});
// The same for one object with rope_type, rope_theta and so on; `fields` is config.json.
RopeConfig read_rope_object(const Fields& rope, const Fields& fields, const ModelConfig& config,
                            const RopeDefaults& defaults);

// Sets `window` in the layers with a sliding window. `layer_types` selects them; without it, `slides(i)` does.
template <class F>
void read_windows(const Fields& fields, ModelConfig& config, std::optional<int64_t> window, F slides);
// For each layer of layer_types: true if it has a sliding window. Empty if layer_types is absent.
std::vector<bool> read_layer_types(const Fields& fields, const ModelConfig& config);

// Checks hidden_act or a similar key. Throws if its value does not mean `expected`.
void expect_activation(const Fields& fields, const char* key, Activation expected);

template <class F>
void read_windows(const Fields& fields, ModelConfig& config, std::optional<int64_t> window, F slides) {
  const std::vector<bool> types = read_layer_types(fields, config);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const bool sliding = types.empty() ? slides(static_cast<int64_t>(i)) && window : types[i];
    if (sliding && !window) fields.fail("layer_types", "has sliding_attention and there is no window to slide");
    if (sliding) config.layers[i].window = *window;
  }
}

}  // namespace lora
