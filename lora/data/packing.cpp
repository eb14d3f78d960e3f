#include "lora/data/packing.h"

#include <algorithm>
#include <map>

namespace lora {

std::vector<std::vector<int64_t>> pack_best_fit(const std::vector<int64_t>& lengths, const std::vector<int64_t>& order,
                                                int64_t capacity) {
  std::vector<int64_t> decreasing = order;
  std::stable_sort(decreasing.begin(), decreasing.end(),
                   [&](int64_t left, int64_t right) { return lengths[left] > lengths[right]; });

  std::vector<std::vector<int64_t>> bins;
  std::map<int64_t, std::vector<size_t>> by_room;  // free room -> bins that have just that
  for (const int64_t item : decreasing) {
    size_t bin = bins.size();
    int64_t room = capacity;
    if (const auto fit = by_room.lower_bound(lengths[item]); fit != by_room.end()) {
      room = fit->first;
      bin = fit->second.back();
      fit->second.pop_back();
      if (fit->second.empty()) by_room.erase(fit);
    } else {
      bins.emplace_back();
    }
    bins[bin].push_back(item);
    by_room[room - lengths[item]].push_back(bin);
  }
  return bins;
}

}  // namespace lora
