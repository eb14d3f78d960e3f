#pragma once
// Puts adapters into a loaded model, or opens the whole of it for training.

#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/adapter_embedding.h"
#include "lora/adapters/adapter_linear.h"
#include "lora/adapters/config.h"
#include "models/io/lazy_tensor.h"
#include "models/network/decoder.h"

namespace lora {

struct AdaptedModule {
  std::string path;                      // of the layer it stands in for
  std::shared_ptr<AdapterLinear> layer;  // also held by the model
};

// PEFT's name for what is adapted, "CAUSAL_LM" or "SEQ_CLS".
std::string task_type(const LlamaForCausalLM& model);

// modules_to_save and, in a classifier, its head: an adapter of one always trains that whole, as PEFT's do.
std::vector<std::string> modules_to_save(const LlamaForCausalLM& model, const AdapterConfig& config);

inline constexpr const char* kEmbeddingPath = "model.embed_tokens";
inline constexpr const char* kHeadPath = "lm_head";

// What is trained, by where it stands in the model.
struct Adaptation {
  bool whole_network = false;  // method "full"; else an adapter
  std::vector<AdaptedModule> modules;
  std::shared_ptr<AdapterEmbedding> embedding;  // at kEmbeddingPath, also held by the model; null: not adapted
  std::vector<std::string> saved_modules;       // trained whole (modules_to_save); for "full" all that have weights
  std::vector<std::string> biases;              // trained by `bias`: parameters of the model
  bool tied_head = false;  // what is done to embed_tokens is done to the head, which is one with it
  int64_t trainable_parameters = 0;
  int64_t total_parameters = 0;  // of the base and the adapters; a quantized weight counts as what it stands for
};

// An adapter that may be another than the model's own, with what its files say of it.
struct AdapterForm {
  Adaptation adaptation;
  AdapterConfig config;
};

// Wraps every module that `config` means and makes modules_to_save(model, config) trainable; method "full" makes
// everything so. A tied head that is adapted or trained apart from embed_tokens (ensure_weight_tying false) becomes a
// module of its own. Afterwards exactly the trained parameters require a gradient; they are float32 and own their
// memory. A module's fresh weights depend on `seed` and its path alone, and on the base's weight where config.init
// starts from it; with `fresh` false the caller is about to load weights, and a costly start is left out. Throws Error
// (exit code 2) as match_modules does, for a rank that no weight of that shape can have and where a quantized weight
// would be trained whole, ModelError for init_from.
Adaptation inject(LlamaForCausalLM& model, const AdapterConfig& config, uint64_t seed, bool fresh = true);

// The trained parameters with their module paths ("model.layers.0.self_attn.q_proj.lora_A"), in the model's order.
std::vector<std::pair<std::string, at::Tensor>> trainable_parameters(const LlamaForCausalLM& model);

// Every weight under its Hugging Face name with the adapters merged in, in the model's dtype. Each is merged when it is
// made, so that no more than one merged tensor need be held. Base weights are views, not copies. The model is shared.
// Error (exit code 2) where lora_bias gives a bias to a layer that has no place for one.
std::vector<LazyTensor> merged_tensors(const LlamaForCausalLM& model);

// The same, made one after another.
void for_each_merged_tensor(const LlamaForCausalLM& model,
                            const std::function<void(const std::string& name, const at::Tensor& tensor)>& visit);

}  // namespace lora
