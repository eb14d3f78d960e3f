#pragma once
// A GGUF file as a network again, to compare with what it was written from.

#include <memory>

#include "models/io/gguf.h"
#include "models/network/decoder.h"

namespace lora {

// The network of `like` with the numbers and the weights of the file, computed in like's dtype. A layer's weights are
// decoded for one product at a time; the file stays mapped. ModelError for a tensor that is missing, of another shape
// or not wanted.
std::shared_ptr<LlamaForCausalLM> load_gguf(const std::filesystem::path& path, const LlamaForCausalLM& like);

}  // namespace lora
