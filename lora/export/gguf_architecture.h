#pragma once
// What llama.cpp calls a model family, its numbers and its tensors (names and keys as its src/llama-arch.cpp has them).

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "models/io/gguf.h"
#include "models/network/config.h"

namespace lora {

struct GgufArchitecture {
  std::string name;  // general.architecture
  // Rotary pairs are neighbours (2i, 2i + 1) there, while Hugging Face pairs i with i + D/2: rows of q and k change
  // places.
  bool neighbours = false;
  bool biases = false;  // it has places for biases of o, gate, up and down
};

// Error (exit code 2) that names a family, or an option of one, that llama.cpp's file has no place for.
GgufArchitecture gguf_architecture(const ModelConfig& config);

// "model.layers.0.self_attn.q_proj.weight" -> "blk.0.attn_q.weight". Error (exit code 2) for a name that has none.
std::string gguf_name(const ModelConfig& config, const std::string& name);

// A q or k weight (out, …) or bias (out) with its rows, or lora_B's, in the file's order; another tensor is itself.
// `name`: Hugging Face's. The way back: from_gguf_rows.
at::Tensor to_gguf_rows(const ModelConfig& config, const std::string& name, const at::Tensor& tensor);
at::Tensor from_gguf_rows(const ModelConfig& config, const std::string& name, const at::Tensor& tensor);

// What is added to a tensor: the 1 of a norm that multiplies by 1 + w.
double gguf_offset(const ModelConfig& config, const std::string& name);

// The model's numbers under the architecture's keys.
GgufMetadata gguf_numbers(const ModelConfig& config);
// The numbers of `config` as the file has them; ModelError where one is missing.
ModelConfig config_of(const GgufFile& file, ModelConfig config);

// What turns otherwise than rope.freq_base alone says (llama3's scaling): "rope_freqs.weight", the divisor of each
// frequency. Undefined where there is nothing of the kind.
at::Tensor gguf_rope_divisors(const ModelConfig& config);

}  // namespace lora
