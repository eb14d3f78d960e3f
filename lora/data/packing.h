#pragma once
// Best-fit decreasing bin packing.

#include <cstdint>
#include <vector>

namespace lora {

// Which items share a bin: items in the order given are put, longest first, into the fullest bin that still holds them.
// Every length must lie in [0, capacity]. The number of bins depends on the lengths alone, not on `order`, which
// decides between items of equal length. O(n log capacity).
std::vector<std::vector<int64_t>> pack_best_fit(const std::vector<int64_t>& lengths, const std::vector<int64_t>& order,
                                                int64_t capacity);

}  // namespace lora
