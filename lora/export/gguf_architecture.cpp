#include "lora/export/gguf_architecture.h"

#include <ATen/ATen.h>

#include <map>

#include "models/error.h"
#include "models/ops/rope.h"

namespace lora {
namespace {

[[noreturn]] void refuse(const std::string& what) { throw Error(ExitCode::kRecipe, "export", "gguf: " + what); }

// A layer's modules.
const std::map<std::string, std::string>& layer_names() {
  static const std::map<std::string, std::string> names = {
      {"input_layernorm", "attn_norm"}, {"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},   {"self_attn.o_proj", "attn_output"}, {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},    {"mlp.up_proj", "ffn_up"},           {"mlp.down_proj", "ffn_down"},
  };
  return names;
}

// The heads whose rows `name` holds, where their order differs; else 0.
int64_t turned_heads(const ModelConfig& config, const std::string& name) {
  if (!gguf_architecture(config).neighbours) return 0;
  if (name.find(".self_attn.q_proj.") != std::string::npos) return config.num_attention_heads;
  if (name.find(".self_attn.k_proj.") != std::string::npos) return config.num_key_value_heads;
  return 0;
}

// Rows of (heads, a, b) as (heads, b, a).
at::Tensor turn(const at::Tensor& tensor, int64_t heads, int64_t a, int64_t b) {
  return tensor.reshape({heads, a, b, -1}).transpose(1, 2).reshape(tensor.sizes());
}

}  // namespace

GgufArchitecture gguf_architecture(const ModelConfig& config) {
  if (!config.labels.empty())
    refuse("holds language models; this one is a classifier. Wanted huggingface or torchscript");
  if (config.model_type == "llama") return {"llama", /*neighbours=*/true};
  if (config.model_type == "qwen2") return {"qwen2"};
  refuse("no architecture for model_type '" + config.model_type +
         "'; supported are llama and qwen2. Wanted huggingface, " +
         "from which llama.cpp's own convert_hf_to_gguf.py goes on");
}

std::string gguf_name(const std::string& name) {
  static const std::string kLayers = "model.layers.";
  const size_t dot = name.rfind('.');
  const std::string path = name.substr(0, dot), kind = name.substr(std::min(dot, name.size()));
  if (path == "model.embed_tokens") return "token_embd" + kind;
  if (path == "model.norm") return "output_norm" + kind;
  if (path == "lm_head") return "output" + kind;
  if (path.starts_with(kLayers)) {
    const size_t end = path.find('.', kLayers.size());
    const auto known = layer_names().find(end == std::string::npos ? "" : path.substr(end + 1));
    if (known != layer_names().end()) {
      return "blk." + path.substr(kLayers.size(), end - kLayers.size()) + "." + known->second + kind;
    }
  }
  refuse("no name for tensor '" + name + "'");
}

at::Tensor to_gguf_rows(const ModelConfig& config, const std::string& name, const at::Tensor& tensor) {
  const int64_t heads = turned_heads(config, name);
  return heads ? turn(tensor, heads, 2, config.head_dim / 2) : tensor;
}

at::Tensor from_gguf_rows(const ModelConfig& config, const std::string& name, const at::Tensor& tensor) {
  const int64_t heads = turned_heads(config, name);
  return heads ? turn(tensor, heads, config.head_dim / 2, 2) : tensor;
}

GgufMetadata gguf_numbers(const ModelConfig& config) {
  const std::string prefix = gguf_architecture(config).name + ".";
  GgufMetadata numbers;
  const auto count = [&](const char* key, int64_t value) {
    numbers.emplace_back(prefix + key, static_cast<uint32_t>(value));
  };
  const auto real = [&](const char* key, double value) {
    numbers.emplace_back(prefix + key, static_cast<float>(value));
  };
  count("block_count", config.num_hidden_layers);
  count("context_length", config.max_position_embeddings);
  count("embedding_length", config.hidden_size);
  count("feed_forward_length", config.intermediate_size);
  count("attention.head_count", config.num_attention_heads);
  count("attention.head_count_kv", config.num_key_value_heads);
  count("attention.key_length", config.head_dim);
  count("attention.value_length", config.head_dim);
  real("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  count("vocab_size", config.vocab_size);
  count("rope.dimension_count", config.head_dim);
  real("rope.freq_base", config.rope.theta);
  if (config.rope.type == RopeConfig::Type::kLinear) {
    numbers.emplace_back(prefix + "rope.scaling.type", "linear");
    real("rope.scaling.factor", config.rope.factor);
  }
  return numbers;
}

ModelConfig config_of(const GgufFile& file, ModelConfig config) {
  const std::string prefix = file.value<std::string>("general.architecture") + ".";
  const auto count = [&](const char* key) { return int64_t{file.value<uint32_t>(prefix + key)}; };
  config.num_hidden_layers = count("block_count");
  config.max_position_embeddings = count("context_length");
  config.hidden_size = count("embedding_length");
  config.intermediate_size = count("feed_forward_length");
  config.num_attention_heads = count("attention.head_count");
  config.num_key_value_heads = count("attention.head_count_kv");
  config.head_dim = count("attention.key_length");
  config.vocab_size = count("vocab_size");
  config.rms_norm_eps = file.value<float>(prefix + "attention.layer_norm_rms_epsilon");
  config.rope.theta = file.value<float>(prefix + "rope.freq_base");
  return config;
}

at::Tensor gguf_rope_divisors(const ModelConfig& config) {
  if (config.rope.type != RopeConfig::Type::kLlama3) return {};
  RopeConfig plain = config.rope;
  plain.type = RopeConfig::Type::kDefault;
  return rope_frequencies(plain, config.head_dim) / rope_frequencies(config.rope, config.head_dim);
}

}  // namespace lora
