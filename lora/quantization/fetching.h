#pragma once
// Projections of layers whose frozen weights, dense or in few bits, stay in the host's memory
// (models/engine/host_blocks.h).

#include <memory>

#include "models/engine/host_blocks.h"
#include "models/network/pretrained.h"

namespace lora {

// Makes a layer's projections as `encode` does, or dense ones where that is null, with their weights in the blocks' memory.
Quantizer fetching(Quantizer encode, std::shared_ptr<HostBlocks> blocks);

}  // namespace lora
