#include "models/network/config_fields.h"

#include <algorithm>
#include <cmath>

#include "models/base/error.h"

namespace lora {

using nlohmann::json;

int64_t Fields::size(const char* key, std::optional<int64_t> fallback) const {
  if (!has(key)) {
    if (fallback) return *fallback;
    fail(key, "is missing; expected a whole number >= 1");
  }
  const json& value = object_[key];
  if (!value.is_number_integer() || value.get<int64_t>() < 1 || value.get<int64_t>() > (int64_t{1} << 31)) {
    fail(key, "is " + value.dump() + "; expected a whole number >= 1");
  }
  return value.get<int64_t>();
}

int64_t Fields::whole(const char* key, int64_t fallback) const {
  return has(key) && object_[key] == 0 ? 0 : size(key, fallback);
}

double Fields::positive(const char* key, double fallback) const {
  if (!has(key)) return fallback;
  const json& value = object_[key];
  if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() <= 0) {
    fail(key, "is " + value.dump() + "; expected a number > 0");
  }
  return value.get<double>();
}

std::optional<int64_t> Fields::optional_size(const char* key, std::optional<int64_t> fallback) const {
  if (!object_.contains(key)) return fallback;
  return has(key) ? std::optional(size(key)) : std::nullopt;
}

std::optional<double> Fields::optional_positive(const char* key, std::optional<double> fallback) const {
  if (!object_.contains(key)) return fallback;
  return has(key) ? std::optional(positive(key, 0)) : std::nullopt;
}

bool Fields::flag(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!object_[key].is_boolean()) fail(key, "is " + object_[key].dump() + "; expected true or false");
  return object_[key].get<bool>();
}

std::string Fields::text(const char* key, const std::string& fallback) const {
  if (!has(key)) return fallback;
  if (!object_[key].is_string()) fail(key, "is " + object_[key].dump() + "; expected a string");
  return object_[key].get<std::string>();
}

std::vector<int64_t> Fields::ids(const char* key) const {
  if (!has(key)) return {};
  const json& value = object_[key];
  const json list = value.is_array() ? value : json::array({value});
  std::vector<int64_t> found;
  for (const json& id : list) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0) {
      fail(key, "is " + value.dump() + "; expected a whole number >= 0 or a list of them");
    }
    found.push_back(id.get<int64_t>());
  }
  return found;
}

std::vector<double> Fields::numbers(const char* key) const {
  std::vector<double> found;
  if (!has(key) || !object_[key].is_array()) fail(key, "is not there; expected a list of numbers");
  for (const json& value : object_[key]) {
    if (!value.is_number() || !(value.get<double>() > 0)) fail(key, "has " + value.dump() + "; expected numbers > 0");
    found.push_back(value.get<double>());
  }
  return found;
}

std::vector<std::string> Fields::texts(const char* key) const {
  std::vector<std::string> found;
  if (!has(key)) return found;
  if (!object_[key].is_array()) fail(key, "is " + object_[key].dump() + "; expected a list of strings");
  for (const json& value : object_[key]) {
    if (!value.is_string()) fail(key, "has " + value.dump() + "; expected strings");
    found.push_back(value.get<std::string>());
  }
  return found;
}

Fields Fields::object(const char* key) const {
  if (!has(key) || !object_[key].is_object()) {
    fail(key, has(key) ? "is " + object_[key].dump() + "; expected an object" : "is missing; expected an object");
  }
  return {object_[key], where_ + ": " + key};
}

void Fields::fail(const std::string& key, const std::string& message) const {
  throw ModelError(where_ + ": '" + key + "' " + message);
}

namespace {

void expect_at_most(const Fields& fields, const char* key, int64_t value, int64_t most) {
  if (value > most) fields.fail(key, "is " + std::to_string(value) + "; expected at most " + std::to_string(most));
}

}  // namespace

void read_shape(const Fields& fields, ModelConfig& config) {
  config.vocab_size = fields.size("vocab_size");
  config.hidden_size = fields.size("hidden_size");
  config.intermediate_size = fields.size("intermediate_size");
  config.num_hidden_layers = fields.size("num_hidden_layers");
  config.num_attention_heads = fields.size("num_attention_heads");
  // Beyond any model there is. The size of a matrix, times the layers, is an int64.
  constexpr int64_t kMostLayers = 1'000, kMostHeads = 1 << 14, kMostColumns = 1 << 24;
  expect_at_most(fields, "num_hidden_layers", config.num_hidden_layers, kMostLayers);
  expect_at_most(fields, "num_attention_heads", config.num_attention_heads, kMostHeads);
  expect_at_most(fields, "vocab_size", config.vocab_size, kMostTokens);
  expect_at_most(fields, "hidden_size", config.hidden_size, kMostColumns);
  expect_at_most(fields, "intermediate_size", config.intermediate_size, kMostColumns);
  const int64_t kv_heads = config.num_key_value_heads ? config.num_key_value_heads : config.num_attention_heads;
  config.num_key_value_heads = fields.size("num_key_value_heads", kv_heads);
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    fields.fail("num_key_value_heads", "is " + std::to_string(config.num_key_value_heads) + "; expected a divisor of " +
                                           std::to_string(config.num_attention_heads) + " (num_attention_heads)");
  }
  if (!config.head_dim) {
    if (!fields.has("head_dim") && config.hidden_size % config.num_attention_heads != 0) {
      fields.fail("hidden_size", "is not a multiple of 'num_attention_heads' and 'head_dim' is not given");
    }
    config.head_dim = config.hidden_size / config.num_attention_heads;
  }
  config.head_dim = fields.size("head_dim", config.head_dim);
  expect_at_most(fields, "head_dim", config.head_dim, kMostColumns);
  if (config.head_dim % 2 != 0) fields.fail("head_dim", "is odd; rotary embeddings need pairs");
  config.max_position_embeddings = fields.size("max_position_embeddings", config.max_position_embeddings);
  config.rms_norm_eps = fields.positive("rms_norm_eps", config.rms_norm_eps);
  config.initializer_range = fields.positive("initializer_range", config.initializer_range);
  config.tie_word_embeddings = fields.flag("tie_word_embeddings", config.tie_word_embeddings);
  config.layers.resize(static_cast<size_t>(config.num_hidden_layers));
  if (const auto bos = fields.ids("bos_token_id"); !bos.empty()) config.bos_token_id = bos.front();
  config.eos_token_ids = fields.ids("eos_token_id");
  note_dropout(fields, "attention_dropout", config);
}

void read_biases(const Fields& fields, ModelConfig& config) {
  config.qkv_bias = config.o_bias = fields.flag("attention_bias", false);
  config.mlp_bias = fields.flag("mlp_bias", false);
}

void note_dropout(const Fields& fields, const char* key, ModelConfig& config) {
  if (!fields.has(key) || fields[key] == 0) return;
  if (!fields[key].is_number()) fields.fail(key, "is " + fields[key].dump() + "; expected a number");
  config.notes.push_back(std::string(key) + " of " + fields[key].dump() +
                         " in config.json is left out: the base runs " +
                         "without dropout, adapter.dropout is the adapter's own");
}

std::vector<bool> read_layer_types(const Fields& fields, const ModelConfig& config) {
  const std::vector<std::string> types = fields.texts("layer_types");
  if (!types.empty() && types.size() != config.layers.size()) {
    fields.fail("layer_types", "has " + std::to_string(types.size()) + " entries; expected one a layer, " +
                                   std::to_string(config.layers.size()));
  }
  std::vector<bool> slides;
  for (const std::string& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      fields.fail("layer_types", "has '" + type + "'; supported are full_attention and sliding_attention");
    }
    slides.push_back(type == "sliding_attention");
  }
  return slides;
}

void expect_activation(const Fields& fields, const char* key, Activation expected) {
  const bool silu = expected == Activation::kSilu;
  const std::string found = fields.text(key, silu ? "silu" : "gelu_pytorch_tanh");
  // Gemma's first files say gelu but mean this approximation. transformers treats them the same.
  const bool known = silu ? found == "silu" || found == "swish"
                          : found == "gelu_pytorch_tanh" || (found == "gelu" && std::string(key) == "hidden_act");
  if (!known) fields.fail(key, "is '" + found + "'; supported is " + (silu ? "silu" : "gelu_pytorch_tanh"));
}

}  // namespace lora
