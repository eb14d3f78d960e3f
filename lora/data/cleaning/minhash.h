#pragma once
// MinHash signatures (Broder: On the Resemblance and Containment of Documents, 1997).

#include <cstddef>
#include <cstdint>

namespace lora {

// signature[p] = min over i of hashes[i] · multipliers[p] + offsets[p], modulo 2³², for `permutations` values of p.
// Multipliers have to be odd, so that each p permutes the 32-bit words; hashes have to be spread over all of these.
// Without hashes every signature[p] is 2³² − 1.
void min_hash(const uint32_t* hashes, size_t n, const uint32_t* multipliers, const uint32_t* offsets,
              size_t permutations, uint32_t* signature);

}  // namespace lora
