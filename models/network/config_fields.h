#pragma once
// config.json's keys as typed values whose errors name the file and the key, and the groups of keys that most families
// have.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "models/network/config.h"

namespace lora {

// A view of one JSON object. A key that is null counts as absent, but for optional_….
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }
  // A whole number >= 1. Required where there is no fallback.
  int64_t size(const char* key, std::optional<int64_t> fallback = {}) const;
  int64_t whole(const char* key, int64_t fallback) const;  // >= 0
  double positive(const char* key, double fallback) const;
  // Where null means none: nothing for null, `fallback` where the key is not there.
  std::optional<int64_t> optional_size(const char* key, std::optional<int64_t> fallback) const;
  std::optional<double> optional_positive(const char* key, std::optional<double> fallback) const;
  bool flag(const char* key, bool fallback) const;
  std::string text(const char* key, const std::string& fallback) const;
  std::vector<int64_t> ids(const char* key) const;     // one token id or a list of them
  std::vector<double> numbers(const char* key) const;  // a list of numbers > 0
  std::vector<std::string> texts(const char* key) const;
  Fields object(const char* key) const;  // throws where it is none

  const nlohmann::json& operator[](const char* key) const { return object_[key]; }
  [[noreturn]] void fail(const std::string& key, const std::string& message) const;

 private:
  const nlohmann::json& object_;
  std::string where_;
};

// Sizes, biases' defaults apart, norm epsilon, token ids, tying and one layer entry a layer. What `config` holds is the
// family's default; vocab_size and the like have none.
void read_shape(const Fields& fields, ModelConfig& config);

// The attention_bias and mlp_bias of LLaMA.
void read_biases(const Fields& fields, ModelConfig& config);

// A dropout of the base's: where it is not zero, a note that it is left out.
void note_dropout(const Fields& fields, const char* key, ModelConfig& config);

// What a family's rotary embedding has of its own.
struct RopeDefaults {
  double theta = 10000.0;
  const char* theta_key = "rope_theta";            // of config.json, where rope_parameters have none
  bool partial = false;                            // partial_rotary_factor means something
  bool yarn_is_longrope = false;                   // and so is su
  std::optional<int64_t> original_positions = {};  // where original_max_position_embeddings is not given
};

// `rope_scaling` or `rope_parameters`, and what of them stands in config.json itself.
RopeConfig read_rope(const Fields& fields, const ModelConfig& config, const RopeDefaults& defaults = {});
// The same of one object that has rope_type, rope_theta and the rest; `fields` is config.json.
RopeConfig read_rope_object(const Fields& rope, const Fields& fields, const ModelConfig& config,
                            const RopeDefaults& defaults);

// Gives the layers that slide a window. `layer_types` says which they are, or, where there is none, `slides(i)`.
template <class F>
void read_windows(const Fields& fields, ModelConfig& config, std::optional<int64_t> window, F slides);
// layer_types as whether each layer slides; empty where there are none.
std::vector<bool> read_layer_types(const Fields& fields, const ModelConfig& config);

// hidden_act or the like; throws where it is none of those that `expected` computes.
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
