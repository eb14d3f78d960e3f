#pragma once
// Best-fit decreasing bin packing.

#include <cstdint>
#include <span>
#include <vector>

namespace lora {

// The bin of each item. Items are placed in order of decreasing length, each into the fullest bin that still has space
// for it. Every length must be in [0, capacity]. `order` lists each item once and breaks ties between equal lengths.
// The number of bins depends only on the lengths. Bins are numbered from 0 in the order of their first items.
// O(n log capacity).
std::vector<int64_t> pack_best_fit(std::span<const int64_t> lengths, std::span<const int64_t> order, int64_t capacity);

}  // namespace lora
