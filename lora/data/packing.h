#pragma once
// Best-fit decreasing bin packing.

#include <cstdint>
#include <span>
#include <vector>

namespace lora {

// The bin of each item: items are put, longest first, into the fullest bin that still holds them. Every length must lie
// in [0, capacity]. `order` lists each item once and decides between items of equal length; the number of bins depends
// on the lengths alone. Bins are numbered from 0 in the order of their first items. O(n log capacity).
std::vector<int64_t> pack_best_fit(std::span<const int64_t> lengths, std::span<const int64_t> order, int64_t capacity);

}  // namespace lora
