#pragma once
// A model's weights with its adapters merged into them.

#include <functional>
#include <string>
#include <vector>

#include "models/io/lazy_tensor.h"
#include "models/network/decoder.h"

namespace lora {

// Every weight under its Hugging Face name with the adapters merged in, in the model's dtype. Each is merged when it is
// made, so that no more than one merged tensor need be held. Base weights are views, not copies. The model is shared.
// Error (exit code 2) where lora_bias gives a bias to a layer that has no place for one.
std::vector<LazyTensor> merged_tensors(const LlamaForCausalLM& model);

// The same, made one after another.
void for_each_merged_tensor(const LlamaForCausalLM& model,
                            const std::function<void(const std::string& name, const at::Tensor& tensor)>& visit);

}  // namespace lora
