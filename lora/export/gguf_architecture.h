#pragma once
// llama.cpp's names of a model family, its numbers and its tensors. Names and keys are those of its src/llama-arch.cpp.

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "models/io/gguf.h"
#include "models/network/config.h"

namespace lora {

struct GgufArchitecture {
  std::string name;  // general.architecture
  // llama.cpp rotates the neighbours 2i and 2i + 1, Hugging Face i and i + D/2: rows of q and k are reordered.
  bool neighbours = false;
  bool biases = false;  // llama.cpp reads biases of o, gate, up and down
};

// Throws ExportError, which names the family or the option of it that llama.cpp's file cannot hold.
GgufArchitecture gguf_architecture(const ModelConfig& config);

// "model.layers.0.self_attn.q_proj.weight" -> "blk.0.attn_q.weight". Throws ExportError where llama.cpp has no name.
std::string gguf_name(const ModelConfig& config, const std::string& name);

// Puts the rows of a weight (out, …) or bias (out) of q or k, or of their lora_B, in the file's order. Returns any
// other tensor as it is. `name`: Hugging Face's. from_gguf_rows is the inverse.
at::Tensor to_gguf_rows(const ModelConfig& config, const std::string& name, const at::Tensor& tensor);
at::Tensor from_gguf_rows(const ModelConfig& config, const std::string& name, const at::Tensor& tensor);

// The number that the file's tensor is larger by: 1 for a norm that multiplies by 1 + w, else 0.
double gguf_offset(const ModelConfig& config, const std::string& name);

// The model's numbers under the architecture's keys.
GgufMetadata gguf_numbers(const ModelConfig& config);
// `config` with the file's numbers. Throws ModelError where one is missing.
ModelConfig config_of(const GgufFile& file, ModelConfig config);

// "rope_freqs.weight": llama3's scaling as a divisor of each frequency. Undefined for other types of RoPE.
at::Tensor gguf_rope_divisors(const ModelConfig& config);

}  // namespace lora
