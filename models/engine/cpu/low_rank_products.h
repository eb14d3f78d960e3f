#pragma once
// The matrices of adapters as kernels take them.

#include <span>
#include <vector>

#include "models/engine/cpu/low_rank.h"
#include "models/engine/operations.h"

namespace lora::cpu {

// The memory belongs to the factors' tensors.
std::vector<kernels::LowRankMatrix> kernel_matrices(std::span<const LowRankFactor> factors);

}  // namespace lora::cpu
