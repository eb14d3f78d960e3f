#pragma once
// Loads a GGUF file as a network, to compare it with the exported model.

#include <memory>

#include "models/io/gguf.h"
#include "models/network/decoder.h"

namespace lora {

// Returns a network with the structure and dtype of `like` and with the file's weights. A layer's weights are decoded
// for one product at a time; the file stays mapped. Throws ModelError for a tensor that is missing, unexpected or has
// the wrong shape.
std::shared_ptr<LlamaForCausalLM> load_gguf(const std::filesystem::path& path, const LlamaForCausalLM& like);

}  // namespace lora
