#include "models/config.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "models/error.h"

namespace lora {
namespace {

using nlohmann::json;

// Typed access to one JSON object whose errors name the file and the key.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }

  int64_t size(const char* key, std::optional<int64_t> fallback = {}) const {
    if (!has(key)) {
      if (fallback) return *fallback;
      fail(key, "is missing; wanted a whole number >= 1");
    }
    const json& value = object_[key];
    if (!value.is_number_integer() || value.get<int64_t>() < 1 || value.get<int64_t>() > (int64_t{1} << 31)) {
      fail(key, "is " + value.dump() + "; wanted a whole number >= 1");
    }
    return value.get<int64_t>();
  }

  double positive(const char* key, double fallback) const {
    if (!has(key)) return fallback;
    const json& value = object_[key];
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() <= 0) {
      fail(key, "is " + value.dump() + "; wanted a number > 0");
    }
    return value.get<double>();
  }

  bool flag(const char* key, bool fallback) const {
    if (!has(key)) return fallback;
    if (!object_[key].is_boolean()) fail(key, "is " + object_[key].dump() + "; wanted true or false");
    return object_[key].get<bool>();
  }

  std::string text(const char* key, const std::string& fallback) const {
    if (!has(key)) return fallback;
    if (!object_[key].is_string()) fail(key, "is " + object_[key].dump() + "; wanted a string");
    return object_[key].get<std::string>();
  }

  const json& operator[](const char* key) const { return object_[key]; }

  [[noreturn]] void fail(const std::string& key, const std::string& message) const {
    throw ModelError(where_ + ": '" + key + "' " + message);
  }

 private:
  const json& object_;
  std::string where_;
};

RopeConfig parse_rope(const Fields& fields, const std::string& where) {
  RopeConfig rope;
  rope.theta = fields.positive("rope_theta", rope.theta);
  // transformers 5 writes `rope_parameters`, earlier versions `rope_scaling` beside `rope_theta`.
  const char* key = fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!fields.has(key)) return rope;
  if (!fields[key].is_object()) fields.fail(key, "is " + fields[key].dump() + "; wanted an object");
  const Fields scaling(fields[key], where + ": " + key);
  rope.theta = scaling.positive("rope_theta", rope.theta);
  const std::string type = scaling.text("rope_type", scaling.text("type", "default"));
  if (type == "default") return rope;
  if (type != "linear" && type != "llama3") {
    scaling.fail("rope_type", "is '" + type + "'; supported are default, linear and llama3");
  }
  if (!scaling.has("factor")) scaling.fail("factor", "is missing; rope_type '" + type + "' needs it");
  rope.factor = scaling.positive("factor", 1.0);
  if (type == "linear") {
    rope.type = RopeConfig::Type::kLinear;
    return rope;
  }
  rope.type = RopeConfig::Type::kLlama3;
  rope.low_freq_factor = scaling.positive("low_freq_factor", 1.0);
  rope.high_freq_factor = scaling.positive("high_freq_factor", 4.0);
  rope.original_max_position_embeddings = scaling.size("original_max_position_embeddings", 8192);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    scaling.fail("high_freq_factor", "is not above 'low_freq_factor'");
  }
  return rope;
}

std::vector<int64_t> parse_ids(const Fields& fields, const char* key) {
  if (!fields.has(key)) return {};
  const json& value = fields[key];
  const json list = value.is_array() ? value : json::array({value});
  std::vector<int64_t> ids;
  for (const json& id : list) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0) {
      fields.fail(key, "is " + value.dump() + "; wanted a token id or a list of them");
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

// Of a …ForSequenceClassification. transformers leaves out its default of two labels.
LabelNames parse_labels(const Fields& fields, const std::string& where) {
  if (!fields.has("architectures")) return {};
  const json& names = fields["architectures"];
  if (!names.is_array() || names.empty() || !names[0].is_string()) return {};
  if (!names[0].get<std::string>().ends_with("ForSequenceClassification")) return {};
  const std::string problem = fields.text("problem_type", "single_label_classification");
  if (problem != "single_label_classification") {
    fields.fail("problem_type", "is '" + problem + "'; supported is single_label_classification");
  }
  return fields.has("id2label") ? parse_id2label(fields["id2label"], where) : LabelNames{"LABEL_0", "LABEL_1"};
}

}  // namespace

ModelConfig parse_model_config(const std::string& text, const std::string& where) {
  json object;
  try {
    object = json::parse(text);
  } catch (const json::exception& e) {
    throw ModelError(where + ": not valid JSON: " + e.what());
  }
  if (!object.is_object())
    throw ModelError(where + ": found " + std::string(object.type_name()) + "; wanted an object");

  const Fields fields(object, where);
  ModelConfig config;
  config.model_type = fields.text("model_type", "");
  const bool qwen2 = config.model_type == "qwen2";
  if (config.model_type != "llama" && !qwen2) {
    fields.fail("model_type", "is '" + config.model_type + "'; supported are llama and qwen2");
  }
  if (fields.has("quantization_config")) {
    fields.fail("quantization_config", "is set; wanted weights as float32, float16 or bfloat16");
  }
  if (const std::string act = fields.text("hidden_act", "silu"); act != "silu" && act != "swish") {
    fields.fail("hidden_act", "is '" + act + "'; supported is silu");
  }
  if (fields.flag("use_sliding_window", false))
    fields.fail("use_sliding_window", "is true; supported is full attention");

  config.vocab_size = fields.size("vocab_size");
  config.hidden_size = fields.size("hidden_size");
  config.intermediate_size = fields.size("intermediate_size");
  config.num_hidden_layers = fields.size("num_hidden_layers");
  config.num_attention_heads = fields.size("num_attention_heads");
  config.num_key_value_heads = fields.size("num_key_value_heads", config.num_attention_heads);
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    fields.fail("num_key_value_heads", "is " + std::to_string(config.num_key_value_heads) + "; wanted a divisor of " +
                                           std::to_string(config.num_attention_heads) + " (num_attention_heads)");
  }
  if (!fields.has("head_dim") && config.hidden_size % config.num_attention_heads != 0) {
    fields.fail("hidden_size", "is not a multiple of 'num_attention_heads' and 'head_dim' is not given");
  }
  config.head_dim = fields.size("head_dim", config.hidden_size / config.num_attention_heads);
  if (config.head_dim % 2 != 0) fields.fail("head_dim", "is odd; rotary embeddings need pairs");
  config.max_position_embeddings = fields.size("max_position_embeddings", config.max_position_embeddings);
  config.rms_norm_eps = fields.positive("rms_norm_eps", config.rms_norm_eps);
  config.initializer_range = fields.positive("initializer_range", config.initializer_range);
  config.rope = parse_rope(fields, where);
  // Qwen2 has biases on q, k and v by definition; its config does not say so.
  config.qkv_bias = qwen2 || fields.flag("attention_bias", false);
  config.o_bias = !qwen2 && fields.flag("attention_bias", false);
  config.mlp_bias = fields.flag("mlp_bias", false);
  config.tie_word_embeddings = fields.flag("tie_word_embeddings", false);
  if (const auto bos = parse_ids(fields, "bos_token_id"); !bos.empty()) config.bos_token_id = bos.front();
  config.eos_token_ids = parse_ids(fields, "eos_token_id");
  config.dtype = fields.text("dtype", fields.text("torch_dtype", "float32"));
  config.labels = parse_labels(fields, where);
  return config;
}

ModelConfig read_model_config(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "config.json";
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) {
    throw ModelError(directory.string() + ": no readable config.json; wanted a Hugging Face model directory");
  }
  std::ostringstream text;
  text << in.rdbuf();
  return parse_model_config(text.str(), file.string());
}

}  // namespace lora
