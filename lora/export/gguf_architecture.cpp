#include "lora/export/gguf_architecture.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "models/base/error.h"
#include "models/network/decoder.h"
#include "models/network/layer_structure.h"
#include "models/network/rope.h"

namespace lora {
namespace {

// llama.cpp's name of what a projection computes. Its families with one projection for gate and up call that one up.
const char* llama_cpp_name(Projection kind) {
  switch (kind) {
    case Projection::kQ:
      return "attn_q";
    case Projection::kK:
      return "attn_k";
    case Projection::kV:
      return "attn_v";
    case Projection::kQkv:
      return "attn_qkv";
    case Projection::kO:
      return "attn_output";
    case Projection::kGate:
      return "ffn_gate";
    case Projection::kUp:
    case Projection::kGateUp:
      return "ffn_up";
    case Projection::kDown:
      return "ffn_down";
  }
  return nullptr;
}

const char* llama_cpp_name(NormPlace place) {
  switch (place) {
    case NormPlace::kQueries:
      return "attn_q_norm";
    case NormPlace::kKeys:
      return "attn_k_norm";
    case NormPlace::kBeforeAttention:
      return "attn_norm";
    case NormPlace::kAfterAttention:
      return "post_attention_norm";
    case NormPlace::kBeforeMlp:
      return "ffn_norm";
    case NormPlace::kAfterMlp:
      return "post_ffw_norm";
  }
  return nullptr;
}

// The part of a layer that the tensor "model.layers.N.PATH.weight" or "….bias" belongs to.
struct LayerTensor {
  std::string layer;  // "N"
  std::string path;   // "self_attn.q_proj"
};
std::optional<LayerTensor> layer_tensor(const std::string& name) {
  const auto layer = layer_of(name);
  if (!layer) return std::nullopt;
  const size_t end = name.find('.', kLayersPath.size()), last = name.rfind('.');
  if (end >= last) return std::nullopt;
  return LayerTensor{std::to_string(*layer), name.substr(end + 1, last - end - 1)};
}

// Names and shapes are the same in every layer.
LayerStructure any_layer(const ModelConfig& config) { return layer_structure(config, LayerConfig{}); }

struct Known {
  const char* model_type;
  GgufArchitecture architecture;
};

const Known* find_known(const std::string& model_type) {
  static const Known kKnown[] = {{"llama", {"llama", true, true}},
                                 {"mistral", {"llama", true, true}},
                                 {"qwen2", {"qwen2"}},
                                 {"qwen3", {"qwen3"}},
                                 {"smollm3", {"smollm3", true}},
                                 {"phi3", {"phi3"}},
                                 {"gemma", {"gemma"}},
                                 {"gemma2", {"gemma2"}},
                                 {"gemma3_text", {"gemma3"}},
                                 {"olmo2", {"olmo2"}},
                                 {"granite", {"granite", true, true}}};
  const auto* found = std::ranges::find_if(kKnown, [&](const Known& one) { return one.model_type == model_type; });
  return found == std::end(kKnown) ? nullptr : found;
}

bool is_gemma(const ModelConfig& config) { return config.norm_kind == NormKind::kOnePlus; }
bool has_windows(const ModelConfig& config) {
  return config.model_type == "gemma2" || config.model_type == "gemma3_text";
}

// In families whose layers alternate: one layer of this many sees all tokens.
int64_t window_period(const ModelConfig& config) { return config.model_type == "gemma2" ? 2 : 6; }

int64_t smallest_window(const ModelConfig& config) {
  int64_t least = 0;
  for (const LayerConfig& layer : config.layers) {
    if (layer.window > 0 && (least == 0 || layer.window < least)) least = layer.window;
  }
  return least;
}

// The factor of a Gemma's scores in llama.cpp, which recognises the 27B models by their number of layers.
double gemma_scale(const ModelConfig& config) {
  const int64_t large = config.model_type == "gemma2" ? 46 : config.model_type == "gemma3_text" ? 62 : 0;
  const bool wide = large == config.num_hidden_layers;
  return 1.0 / std::sqrt(static_cast<double>(wide ? config.hidden_size / config.num_attention_heads : config.head_dim));
}

void check_rope(const ModelConfig& config, const std::string& name) {
  const RopeConfig& rope = config.rope;
  const bool divisors = name == "llama" || name == "granite";
  if (rope.type == RopeConfig::Type::kYarn || rope.type == RopeConfig::Type::kLongRope) {
    throw ExportError("gguf: RoPE of type yarn or longrope is not written; supported are default, linear and llama3");
  }
  if (rope.type == RopeConfig::Type::kLlama3 && !divisors)
    throw ExportError("gguf: llama3 RoPE has no place in architecture " + name);
  if (rope.rotated(config.head_dim) != config.head_dim)
    throw ExportError("gguf: heads of which only a part turns are not written");
}

void check_layers(const ModelConfig& config, const std::string& name) {
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const auto layer = static_cast<int64_t>(i) + 1;
    const bool turns = config.layers[i].positions != Positions::kNone;
    if (turns == (name == "smollm3" && layer % 4 == 0))
      throw ExportError("gguf: layers without positions at other places than llama.cpp has them");
    const bool slides = config.layers[i].window > 0;
    if (has_windows(config) && slides == (layer % window_period(config) == 0)) {
      throw ExportError("gguf: sliding windows in other layers than llama.cpp has them");
    }
  }
}

// Throws where the architecture's code in llama.cpp computes something else.
void check(const ModelConfig& config, const GgufArchitecture& architecture) {
  const std::string& name = architecture.name;
  check_rope(config, name);
  check_layers(config, name);
  if (!architecture.biases && (config.o_bias || config.mlp_bias)) {
    throw ExportError("gguf: biases of o_proj or of the MLP have no place in architecture " + name);
  }
  if (config.qkv_bias && !architecture.biases && name != "qwen2") {
    throw ExportError("gguf: biases of q, k and v have no place in architecture " + name);
  }
  const bool square = config.head_dim * config.num_attention_heads == config.hidden_size;
  if (!square && (name == "qwen2" || name == "olmo2" || name == "phi3")) {
    throw ExportError("gguf: a head_dim other than hidden_size / num_attention_heads has no place in architecture " +
                      name);
  }
  const double scale = config.attention_scale;
  if (is_gemma(config) && scale != 0 && std::abs(scale / gemma_scale(config) - 1) > 1e-6) {
    throw ExportError("gguf: query_pre_attn_scalar is another than llama.cpp takes it to be");
  }
  if (name == "gemma2" && (config.attention_softcap == 0 || config.logit_softcap == 0)) {
    throw ExportError("gguf: a gemma2 without soft-capping, which llama.cpp always does");
  }
  const bool tied = config.tie_word_embeddings;
  if ((name == "gemma" || name == "gemma2") && !tied)
    throw ExportError("gguf: a head that is not tied has no place in architecture " + name);
  if (name == "olmo2" && tied) throw ExportError("gguf: a tied head has no place in architecture olmo2");
}

// The heads whose rows `name` holds, where llama.cpp orders these rows otherwise; else 0.
int64_t reordered_heads(const ModelConfig& config, const std::string& name) {
  if (!gguf_architecture(config).neighbours) return 0;
  const std::optional<LayerTensor> tensor = layer_tensor(name);
  if (!tensor) return 0;
  const LayerStructure layer = any_layer(config);
  const auto found = std::ranges::find(layer.projections, tensor->path, &ProjectionShape::path);
  if (found == layer.projections.end()) return 0;
  if (found->kind == Projection::kQ) return layer.heads.heads;
  if (found->kind == Projection::kK) return layer.heads.kv_heads;
  return 0;
}

// Rows of (heads, a, b) as (heads, b, a).
at::Tensor turn(const at::Tensor& tensor, int64_t heads, int64_t a, int64_t b) {
  return tensor.reshape({heads, a, b, -1}).transpose(1, 2).reshape(tensor.sizes());
}

}  // namespace

GgufArchitecture gguf_architecture(const ModelConfig& config) {
  if (!config.labels.empty())
    throw ExportError("gguf: holds language models; this one is a classifier. Expected huggingface or torchscript");
  const Known* known = find_known(config.model_type);
  if (!known) {
    throw ExportError("gguf: no architecture for model_type '" + config.model_type +
                      "'. Expected huggingface, from which llama.cpp's own convert_hf_to_gguf.py continues");
  }
  check(config, known->architecture);
  return known->architecture;
}

std::string gguf_name(const ModelConfig& config, const std::string& name) {
  const size_t dot = name.rfind('.');
  const std::string path = name.substr(0, dot), kind = name.substr(std::min(dot, name.size()));
  if (path == "model.embed_tokens") return "token_embd" + kind;
  if (path == "model.norm") return "output_norm" + kind;
  if (path == "lm_head") return "output" + kind;
  if (const std::optional<LayerTensor> tensor = layer_tensor(name)) {
    const std::string layer = "blk." + tensor->layer + ".";
    const LayerStructure structure = any_layer(config);
    for (const ProjectionShape& one : structure.projections) {
      if (one.path() == tensor->path) return layer + llama_cpp_name(one.kind) + kind;
    }
    for (const NormShape& one : structure.norms) {
      if (one.path() == tensor->path) return layer + llama_cpp_name(one.place) + kind;
    }
  }
  throw ExportError("gguf: no name for tensor '" + name + "'");
}

double gguf_offset(const ModelConfig& config, const std::string& name) {
  return is_gemma(config) && name.ends_with("norm.weight") ? 1 : 0;
}

at::Tensor to_gguf_rows(const ModelConfig& config, const std::string& name, const at::Tensor& tensor) {
  const int64_t heads = reordered_heads(config, name);
  return heads ? turn(tensor, heads, 2, config.head_dim / 2) : tensor;
}

at::Tensor from_gguf_rows(const ModelConfig& config, const std::string& name, const at::Tensor& tensor) {
  const int64_t heads = reordered_heads(config, name);
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
  // llama.cpp slides no window in the other families, so that a context within the window is what it computes.
  const int64_t window = smallest_window(config), positions = config.max_position_embeddings;
  count("context_length", window > 0 && !has_windows(config) ? std::min(window, positions) : positions);
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
  if (has_windows(config)) count("attention.sliding_window", window);
  if (config.model_type == "gemma3_text") real("rope.freq_base_swa", config.local_rope.theta);
  if (config.attention_softcap > 0) real("attn_logit_softcapping", config.attention_softcap);
  if (config.logit_softcap > 0) real("final_logit_softcapping", config.logit_softcap);
  if (config.model_type == "granite") {
    real("attention.scale", config.attention_scale);
    real("embedding_scale", config.embedding_scale);
    real("residual_scale", config.residual_scale);
    real("logit_scale", config.logit_divisor);
  }
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
