#include "lora/data/packing.h"

#include <map>

namespace lora {
namespace {

constexpr int64_t kNone = -1;

// Counting sort: lengths are small integers, and there may be millions of them.
std::vector<int64_t> longest_first(std::span<const int64_t> lengths, std::span<const int64_t> order, int64_t capacity) {
  std::vector<int64_t> place(static_cast<size_t>(capacity) + 2, 0);
  for (const int64_t length : lengths) ++place[static_cast<size_t>(capacity - length) + 1];
  for (size_t i = 1; i < place.size(); ++i) place[i] += place[i - 1];
  std::vector<int64_t> sorted(order.size());
  for (const int64_t item : order) {
    sorted[static_cast<size_t>(place[static_cast<size_t>(capacity - lengths[static_cast<size_t>(item)])]++)] = item;
  }
  return sorted;
}

}  // namespace

std::vector<int64_t> pack_best_fit(std::span<const int64_t> lengths, std::span<const int64_t> order, int64_t capacity) {
  std::vector<int64_t> bin_of(lengths.size());
  std::map<int64_t, int64_t> by_room;  // free space -> the newest bin with exactly that space
  std::vector<int64_t> below;          // bin -> the next bin with the same space
  for (const int64_t item : longest_first(lengths, order, capacity)) {
    const int64_t length = lengths[static_cast<size_t>(item)];
    int64_t bin, room = capacity;
    if (const auto fit = by_room.lower_bound(length); fit != by_room.end()) {
      room = fit->first;
      bin = fit->second;
      fit->second = below[static_cast<size_t>(bin)];
      if (fit->second == kNone) by_room.erase(fit);
    } else {
      bin = static_cast<int64_t>(below.size());
      below.push_back(kNone);
    }
    bin_of[static_cast<size_t>(item)] = bin;
    const auto [left, fresh] = by_room.try_emplace(room - length, kNone);
    below[static_cast<size_t>(bin)] = left->second;
    left->second = bin;
  }
  // Renumbers the bins from their order of creation to the order of their first items.
  std::vector<int64_t> number(below.size(), kNone);
  int64_t next = 0;
  for (int64_t& bin : bin_of) {
    int64_t& renumbered = number[static_cast<size_t>(bin)];
    if (renumbered == kNone) renumbered = next++;
    bin = renumbered;
  }
  return bin_of;
}

}  // namespace lora
