#include "lora/inference/stop_text.h"

#include <algorithm>

namespace lora {

size_t stop_place(std::string_view text, const std::vector<std::string>& stops) {
  size_t first = std::string_view::npos;
  for (const std::string& stop : stops) {
    if (!stop.empty()) first = std::min(first, text.find(stop));
  }
  return first;
}

size_t settled_bytes(std::string_view text, const std::vector<std::string>& stops) {
  size_t open = 0;  // bytes at the end that begin a stop text
  for (const std::string& stop : stops) {
    for (size_t n = open + 1; n < stop.size() && n <= text.size(); ++n) {
      if (text.ends_with(std::string_view(stop).substr(0, n))) open = n;
    }
  }
  return text.size() - open;
}

}  // namespace lora
