#pragma once
// Samples as a hash: what an answer or a reference computed from them depends on.

#include <string>

#include "lora/data/dataset.h"
#include "models/base/sha256.h"

namespace lora {

// Token ids, which of them are trained, and where answers begin.
void add_samples(Sha256& hash, const Dataset& data);

// "936 samples, 12,345 tokens, SHA-256 …"
std::string described_samples(const Dataset& data);

}  // namespace lora
